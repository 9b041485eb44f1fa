;; copy, fill and CRC-32C over the imported shared memory.
;;
;; The sixteen CRC tables (16 KiB) live in a second, private memory: the user's memory holds no byte of this
;; module, and no user store can damage the tables. They are computed once, when the module is instantiated.
;;
;; Table k, entry b, at tables[k * 1024 + b * 4]: the CRC state after byte b and then k zero bytes. CRC is linear
;; over GF(2), so the state after 16 bytes is the XOR of one entry per byte: the first byte has 15 bytes after it
;; (table 15), the last has none (table 0).
(module
  (memory $user (import "env" "memory") 1 65536 shared)
  (memory $tables 1 1)
  (start $make_tables)

  (func $make_tables
    (local $b i32) (local $state i32) (local $bit i32) (local $at i32)
    (loop $bytes
      (local.set $state (local.get $b))
      (local.set $bit (i32.const 8))
      (loop $bits
        ;; One bit: shift right; the bit shifted out selects the reflected polynomial.
        (local.set $state
          (i32.xor
            (i32.shr_u (local.get $state) (i32.const 1))
            (i32.and
              (i32.sub (i32.const 0) (i32.and (local.get $state) (i32.const 1)))
              (i32.const 0x82f63b78))))
        (br_if $bits (local.tee $bit (i32.sub (local.get $bit) (i32.const 1)))))
      (i32.store $tables (i32.shl (local.get $b) (i32.const 2)) (local.get $state))
      (br_if $bytes
        (i32.lt_u (local.tee $b (i32.add (local.get $b) (i32.const 1))) (i32.const 256))))
    ;; Table k from table k - 1: one more zero byte.
    (local.set $at (i32.const 1024))
    (loop $entries
      (local.set $state (i32.load $tables (i32.sub (local.get $at) (i32.const 1024))))
      (i32.store $tables
        (local.get $at)
        (i32.xor
          (i32.shr_u (local.get $state) (i32.const 8))
          (i32.load $tables (i32.and (i32.shl (local.get $state) (i32.const 2)) (i32.const 0x3fc)))))
      (br_if $entries
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 16384)))))

  (func (export "copy") (param $target i32) (param $source i32) (param $bytes i32)
    (memory.copy $user $user (local.get $target) (local.get $source) (local.get $bytes)))

  (func (export "fill") (param $target i32) (param $byte i32) (param $bytes i32)
    (memory.fill $user (local.get $target) (local.get $byte) (local.get $bytes)))

  ;; CRC-32C of [p, p + bytes); seed is an earlier result (0 to start). Traps past the end of memory.
  (func (export "crc32c") (param $p i32) (param $bytes i32) (param $seed i32) (result i32)
    (local $crc i32) (local $a i32) (local $b i32) (local $c i32) (local $d i32)
    (local.set $crc (i32.xor (local.get $seed) (i32.const -1)))
    (block $end16
      (loop $step16
        (br_if $end16 (i32.lt_u (local.get $bytes) (i32.const 16)))
        (local.set $a (i32.xor (local.get $crc) (i32.load $user align=1 (local.get $p))))
        (local.set $b (i32.load $user offset=4 align=1 (local.get $p)))
        (local.set $c (i32.load $user offset=8 align=1 (local.get $p)))
        (local.set $d (i32.load $user offset=12 align=1 (local.get $p)))
        (local.set $crc
          (i32.xor
            (i32.xor
              (i32.xor
                (i32.xor
                  (i32.load $tables offset=15360 (i32.and (i32.shl (local.get $a) (i32.const 2)) (i32.const 0x3fc)))
                  (i32.load $tables offset=14336 (i32.and (i32.shr_u (local.get $a) (i32.const 6)) (i32.const 0x3fc))))
                (i32.xor
                  (i32.load $tables offset=13312 (i32.and (i32.shr_u (local.get $a) (i32.const 14)) (i32.const 0x3fc)))
                  (i32.load $tables offset=12288 (i32.and (i32.shr_u (local.get $a) (i32.const 22)) (i32.const 0x3fc)))))
              (i32.xor
                (i32.xor
                  (i32.load $tables offset=11264 (i32.and (i32.shl (local.get $b) (i32.const 2)) (i32.const 0x3fc)))
                  (i32.load $tables offset=10240 (i32.and (i32.shr_u (local.get $b) (i32.const 6)) (i32.const 0x3fc))))
                (i32.xor
                  (i32.load $tables offset=9216 (i32.and (i32.shr_u (local.get $b) (i32.const 14)) (i32.const 0x3fc)))
                  (i32.load $tables offset=8192 (i32.and (i32.shr_u (local.get $b) (i32.const 22)) (i32.const 0x3fc))))))
            (i32.xor
              (i32.xor
                (i32.xor
                  (i32.load $tables offset=7168 (i32.and (i32.shl (local.get $c) (i32.const 2)) (i32.const 0x3fc)))
                  (i32.load $tables offset=6144 (i32.and (i32.shr_u (local.get $c) (i32.const 6)) (i32.const 0x3fc))))
                (i32.xor
                  (i32.load $tables offset=5120 (i32.and (i32.shr_u (local.get $c) (i32.const 14)) (i32.const 0x3fc)))
                  (i32.load $tables offset=4096 (i32.and (i32.shr_u (local.get $c) (i32.const 22)) (i32.const 0x3fc)))))
              (i32.xor
                (i32.xor
                  (i32.load $tables offset=3072 (i32.and (i32.shl (local.get $d) (i32.const 2)) (i32.const 0x3fc)))
                  (i32.load $tables offset=2048 (i32.and (i32.shr_u (local.get $d) (i32.const 6)) (i32.const 0x3fc))))
                (i32.xor
                  (i32.load $tables offset=1024 (i32.and (i32.shr_u (local.get $d) (i32.const 14)) (i32.const 0x3fc)))
                  (i32.load $tables (i32.and (i32.shr_u (local.get $d) (i32.const 22)) (i32.const 0x3fc))))))))
        (local.set $p (i32.add (local.get $p) (i32.const 16)))
        (local.set $bytes (i32.sub (local.get $bytes) (i32.const 16)))
        (br $step16)))
    (block $end1
      (loop $step1
        (br_if $end1 (i32.eqz (local.get $bytes)))
        (local.set $crc
          (i32.xor
            (i32.shr_u (local.get $crc) (i32.const 8))
            (i32.load $tables
              (i32.and
                (i32.shl (i32.xor (local.get $crc) (i32.load8_u $user (local.get $p))) (i32.const 2))
                (i32.const 0x3fc)))))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (local.set $bytes (i32.sub (local.get $bytes) (i32.const 1)))
        (br $step1)))
    (i32.xor (local.get $crc) (i32.const -1))))
