/**
 * Options of fio 3.33 that have no meaning here yet. A job that uses one is refused as fio refuses an unknown
 * option, but told that the option is fio's own. Names, and aliases behind a bar.
 */
const GENERAL = `
  filename_format unique_filename lockfile opendir serialize_overlap io_submit_mode fill_device|fill_fs file_append
  offset_align ba|blockalign bs_is_seq_rand softrandommap random_generator percentage_random percentage_sequential
  allrandrepeat nrfiles|nr_files openfiles file_service_type fallocate fadvise_hint fdatasync write_barrier
  sync_file_range atomic overwrite verify_only clocksource iomem_align|mem_align`;
const CHECKING = `
  verifysort verifysort_nr verify_offset verify_dump verify_async verify_backlog_batch verify_async_cpus
  experimental_verify verify_state_load verify_state_save trim_percentage trim_verify_zero trim_backlog
  trim_backlog_batch ignore_error error_dump`;
const REPLAY = `
  write_iolog read_iolog read_iolog_chunked replay_no_stall replay_redirect replay_scale replay_align
  replay_time_scale replay_skip merge_blktrace_file merge_blktrace_scalars merge_blktrace_iters`;
const ZONES = `
  zonesize zonecapacity zonerange zoneskip read_beyond_wp max_open_zones job_max_open_zones ignore_zone_limits
  zone_reset_threshold zone_reset_frequency`;
const PACING = `
  rwmixcycle thinktime_iotime rate_min|ratemin rate_iops_min rate_cycle|ratecycle rate_ignore_thinktime latency_run
  flow_id flow flow_watermark flow_sleep steadystate|ss steadystate_duration|ss_dur steadystate_ramp_time|ss_ramp`;
const HOST = `
  exec_prerun exec_postrun ioscheduler sync write_hint create_serialize create_fsync create_on_open create_only
  allow_file_create allow_mounted_write pre_read cpumask cpus_allowed_policy gpu_dev_id fsync_on_close unlink
  unlink_each_loop exitall exit_what exitall_on_error cgroup cgroup_nodelete cgroup_weight hugepage-size profile`;
const REPORTING = `
  per_job_logs log_entries log_hist_coarseness log_max_value log_prio log_compression log_compression_cpus
  log_store_compressed log_unix_epoch log_alternate_epoch log_alternate_epoch_clock_id block_error_percentiles
  bwavgtime iopsavgtime stats significant_figures disk_util gtod_cpu kb_base unit_base`;
const BUFFERS = `
  zero_buffers refill_buffers scramble_buffers buffer_pattern buffer_compress_percentage buffer_compress_chunk
  dedupe_percentage dedupe_global dedupe_mode dedupe_working_set_percentage`;
const ENGINES = `cmdprio_percentage cmdprio_class cmdprio cmdprio_bssplit userspace_reap`;

/** Canonical names, each with its alias if it has one. */
export const KNOWN_OPTIONS: readonly (readonly string[])[] = [
  GENERAL,
  CHECKING,
  REPLAY,
  ZONES,
  PACING,
  HOST,
  REPORTING,
  BUFFERS,
  ENGINES,
].flatMap((text) =>
  text
    .trim()
    .split(/\s+/)
    .map((names) => names.split("|")),
);
