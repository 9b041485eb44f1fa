;; The atomic verbs over the imported shared memory: sequentially consistent, as JavaScript's own.
;;
;; V8 calls its Atomics builtins out of line, on tagged values; a call of these it inlines down to the call itself,
;; on plain 32-bit integers. `p` is a byte address; one that is not a multiple of 4, or past the end, traps.
(module
  (memory (import "env" "memory") 1 65536 shared)

  (func (export "load") (param $p i32) (result i32)
    (i32.atomic.load (local.get $p)))
  (func (export "store") (param $p i32) (param $value i32)
    (i32.atomic.store (local.get $p) (local.get $value)))

  ;; These return the old value.
  (func (export "add") (param $p i32) (param $value i32) (result i32)
    (i32.atomic.rmw.add (local.get $p) (local.get $value)))
  (func (export "sub") (param $p i32) (param $value i32) (result i32)
    (i32.atomic.rmw.sub (local.get $p) (local.get $value)))
  (func (export "and") (param $p i32) (param $value i32) (result i32)
    (i32.atomic.rmw.and (local.get $p) (local.get $value)))
  (func (export "or") (param $p i32) (param $value i32) (result i32)
    (i32.atomic.rmw.or (local.get $p) (local.get $value)))
  (func (export "exchange") (param $p i32) (param $value i32) (result i32)
    (i32.atomic.rmw.xchg (local.get $p) (local.get $value)))
  (func (export "compareExchange") (param $p i32) (param $expected i32) (param $value i32) (result i32)
    (i32.atomic.rmw.cmpxchg (local.get $p) (local.get $expected) (local.get $value))))
