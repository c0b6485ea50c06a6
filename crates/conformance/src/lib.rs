#![doc = include_str!("../README.md")]
//!
//! # What a case does
//!
//! The [`cases`] wait for what they expect, for half a minute at most, and use files in a temporary directory; a few start
//! the test program again, since they count what a process has. A case that does not end is given up after three minutes.

pub mod cases;
mod kit;
mod threads;

#[doc(hidden)]
pub use kit::{alone, run};
#[doc(hidden)]
pub use tailmerge_core::Backend as __Backend;
pub use threads::Threads;

/// Makes a module of tests of all [`cases`], for one backend.
///
/// The expression gives the backend. It is evaluated anew for each test, in the scope of the call.
///
/// # Examples
///
/// ```
/// tailmerge_conformance::conformance!(threads, tailmerge_conformance::Threads::new());
/// ```
#[macro_export]
macro_rules! conformance {
    ($module:ident, $backend:expr $(,)?) => {
        mod $module {
            // In a module of its own, where no topic hides what the expression names.
            mod __given {
                #[allow(unused_imports, reason = "a backend may be given by its full path")]
                use super::super::*;

                pub(super) fn backend() -> impl $crate::__Backend {
                    $backend
                }
            }

            $crate::__stamp! { together
                backend {
                    block_on_runs_on_this_thread
                    tasks_run_side_by_side
                    what_blocks_holds_up_no_task
                    a_sleep_lasts_long_enough
                    the_handle_tells_the_backend
                }
                follow {
                    a_file_that_grows_is_followed
                    a_file_that_grows_is_followed_blocking
                    a_fragment_is_held_until_its_newline
                    a_line_written_byte_by_byte_comes_out_whole
                    a_missing_file_is_waited_for
                    a_missing_directory_is_waited_for
                    new_matches_join
                    what_is_excluded_stays_out
                    any_name_will_do
                    what_is_no_file_harms_no_other
                    five_producers_lose_nothing
                    two_merges_run_at_once
                    a_file_with_much_to_read_starves_no_other
                }
                rotate {
                    a_renamed_file_is_read_to_its_end_first
                    late_writes_to_the_renamed_file_come_out
                    files_that_match_under_their_new_name_are_not_read_twice
                    the_last_line_of_a_renamed_file_gets_its_newline
                    the_last_line_of_a_deleted_file_gets_its_newline
                    a_file_goes_on_under_its_other_name
                    a_truncated_file_is_read_from_its_start
                    a_file_written_over_is_read_from_its_start
                    what_a_truncation_took_is_a_gap
                    a_file_made_anew_is_read_from_its_start
                    a_link_that_is_switched_is_followed
                    what_vanishes_while_the_output_is_behind_is_kept
                    beyond_the_bytes_allowed_a_deleted_file_is_a_gap
                }
                links {
                    links_that_a_pattern_finds_can_be_skipped
                    a_link_that_is_skipped_takes_no_file_over
                    links_of_ones_own_are_followed
                    links_are_not_followed_against_the_setting
                }
                once {
                    from_the_end_only_new_lines_come
                    from_the_end_later_files_come_whole
                    once_ends_and_ends_the_last_line
                    once_ends_blocking
                    once_ends_beside_a_producer_that_does_not
                    once_tells_what_is_missing
                    once_keeps_the_output_where_nothing_can_be_read
                    once_stops_a_tailer_without_end
                }
                content {
                    bytes_come_out_as_they_went_in
                    text_of_any_encoding_is_bytes
                    long_lines_are_split
                    long_lines_are_truncated
                    long_lines_are_skipped
                    no_batch_is_larger_than_memory_allows
                    lines_are_labelled
                    formats_are_what_they_are_said_to_be
                }
                identity {
                    one_file_is_one_input
                    two_files_alike_are_two_inputs
                    many_files_that_begin_alike_are_inputs_each
                    small_files_come_at_once
                    an_inode_given_out_again_is_another_file
                    the_output_is_not_read
                    a_new_output_is_not_read
                    what_the_host_writes_is_not_read
                }
                output {
                    the_output_is_begun_anew
                    appending_keeps_what_is_there
                    two_may_append
                    a_second_merge_into_one_output_is_refused
                    a_locked_output_is_refused
                    an_input_that_is_the_output_is_refused
                    an_output_that_matches_is_refused
                    an_output_that_cannot_be_is_told
                    settings_that_cannot_be_are_refused
                    a_link_as_the_output_is_followed
                    a_reader_that_goes_away_ends_the_merge
                    a_fifo_gets_every_line
                }
                reopen {
                    a_moved_output_is_opened_anew
                    a_request_to_reopen_that_is_given_up_is_served
                    a_moved_output_is_noticed
                    what_went_to_a_removed_output_is_a_gap
                    a_cut_output_goes_on_at_its_end
                    what_is_put_in_the_outputs_place_is_no_input
                    an_input_in_the_outputs_place_is_not_written
                    a_full_output_that_is_removed_makes_room
                    a_torn_line_is_whole_in_the_end
                    a_final_error_leaves_whole_lines
                    a_missing_directory_of_the_output_is_waited_for
                    an_output_opened_anew_is_locked
                    a_writer_of_the_hosts_is_asked_to_reopen
                }
                send {
                    sent_lines_keep_their_order
                    many_senders_keep_their_order
                    a_dropped_sender_ends_its_line
                    a_line_that_is_too_long_is_refused
                    sending_waits_for_room
                    sending_after_the_stop_is_refused
                    a_sender_that_waits_hears_of_the_end
                    a_stop_ends_the_lines_that_were_begun
                    lines_begun_at_a_failure_are_told
                    senders_of_one_name_are_one_input
                    lines_of_dropped_senders_take_a_bounded_room
                    senders_at_an_output_that_stands_still_hear_of_the_end
                }
                control {
                    inputs_come_and_go
                    a_host_that_never_waits_sees_all
                    patterns_come_and_go
                    a_pattern_that_is_too_much_ends_nothing
                    an_input_taken_on_is_read
                    requests_that_meet_a_stop_are_answered
                    a_request_during_the_last_look_is_answered
                    a_flush_covers_what_was_sent
                    a_flush_reaches_the_writer
                    a_flush_that_waits_hears_of_the_end
                    a_hint_wakes_readers
                    no_task_outlives_the_merge
                }
                stop {
                    a_stop_reads_what_is_there
                    a_stop_finds_what_came_just_before
                    a_stop_finds_what_came_just_before_in_a_slow_directory
                    a_stop_keeps_its_deadline
                    a_stop_keeps_its_deadline_blocking
                    a_stop_without_deadline_waits
                    to_stop_now_is_to_read_no_more
                    to_stop_now_is_not_to_wait
                    stopped_again_it_answers_the_same
                    a_stop_given_up_goes_on
                    a_stop_at_any_moment_leaves_whole_lines
                    a_writer_that_does_not_come_back_is_told
                }
                host {
                    a_task_may_own_the_merge
                    dropped_on_the_only_thread_it_ends
                    stopped_on_the_only_thread_it_drains
                    requests_on_the_only_thread_are_done
                    a_lost_executor_is_reported
                    no_task_touches_a_file
                    only_the_writers_thread_blocks_on
                    a_start_given_up_leaves_nothing_behind
                    a_pause_of_the_host_does_no_harm
                    what_is_idle_costs_little
                }
                fail {
                    a_tailer_that_fails_takes_no_other_with_it
                    a_search_for_files_that_panics_takes_no_file_with_it
                    an_error_that_stays_poisons_the_merge
                    a_flush_that_fails_poisons_the_merge
                    a_writer_that_panics_is_an_error
                    a_writer_that_cannot_be_made_is_an_error
                    an_error_that_passes_loses_nothing
                    a_full_disk_is_waited_for
                    a_disk_that_stays_full_is_reported
                }
                writer {
                    a_flush_that_is_cut_off_is_not_done
                    a_flush_that_many_wait_for_is_done_for_each
                    the_end_of_an_output_is_told
                    a_writer_says_what_is_tried_again
                    a_wait_is_told_once_and_so_is_its_end
                }
                own {
                    tailer_and_writer_may_be_the_hosts
                    tailers_are_labelled_and_take_turns
                    a_tailer_without_end_starves_no_other
                    a_writer_alone_will_do
                    a_tail_alone_is_a_stream_of_lines
                    a_tail_alone_is_a_stream_of_batches
                    a_tail_tells_what_fails
                    a_stopped_tail_drains
                    a_tail_tells_that_its_executor_is_lost
                    a_dropped_tail_ends
                }
                stream {
                    a_fifo_made_anew_is_read
                    a_fifo_may_come_and_go
                    two_names_of_a_fifo_are_one_input
                    a_fifo_may_be_left
                    a_stream_without_end_is_stopped
                }
                tailers {
                    the_line_limit_holds_for_tailers
                    the_line_limit_holds_for_changed_lines
                    a_tailer_that_gives_nothing_is_made_to_pause
                    a_tailer_that_panics_anywhere_ends_alone
                    a_tailer_is_left_alone_as_long_as_it_says
                }
                observer {
                    an_observer_that_panics_changes_nothing
                    what_fails_is_an_error_whatever_the_observer_does
                    an_observer_may_call_the_merge
                    an_observer_may_stop_the_merge
                    a_tailer_and_a_writer_may_send
                    events_come_as_a_stream
                }
                errors {
                    a_file_that_cannot_be_read_is_read_on_later
                    a_file_whose_descriptor_is_stale_is_opened_again
                    a_renamed_file_whose_descriptor_is_stale_is_found
                    a_renamed_file_is_searched_for_until_it_can_be_found
                    a_rotated_file_that_cannot_be_read_holds_up_no_other_for_long
                    under_once_what_cannot_be_read_is_reported
                    what_cannot_be_read_at_the_stop_is_reported
                    a_file_that_is_forbidden_for_a_while_is_read_on
                    the_cause_is_told
                    a_directory_that_cannot_be_looked_at_is_reported
                    what_is_gone_at_the_first_look_may_be_a_loss
                    a_directory_that_is_gone_at_the_first_look_may_be_a_loss
                    from_the_end_a_file_that_is_forbidden_gives_new_lines_only
                }
                remote {
                    a_device_that_hangs_holds_up_no_other
                    a_device_that_hangs_at_the_start_holds_up_no_other
                    a_device_that_is_slow_holds_up_no_other
                    devices_that_hang_hold_a_bounded_number_of_jobs
                    a_device_that_comes_late_does_not_wait_for_those_that_hang
                    a_stop_does_not_wait_for_a_device_that_hangs
                    files_of_a_device_are_followed_as_others_are
                    under_once_files_of_a_device_are_read_to_their_end
                }
                cut {
                    what_grew_past_the_offset_is_another_content
                    a_copy_has_what_was_cut_while_behind
                    copies_have_what_was_cut_unread
                    copies_of_what_was_cut_are_not_read_again
                    a_hole_is_skipped_and_counted
                    a_file_cut_within_its_last_line_is_not_read_again
                }
                sizes {
                    short_reads_lose_nothing
                    short_reads_end
                    short_reads_know_a_copy
                    a_size_ahead_of_the_data_harms_no_other
                    a_size_ahead_of_the_data_ends
                    a_size_that_is_ahead_for_a_while_is_read_on
                    a_size_that_comes_and_goes_is_no_truncation
                    what_comes_to_nothing_is_tried_ever_more_seldom
                    a_size_of_nothing_is_not_believed
                    a_file_without_end_is_read_up_to_a_bound
                }
                descriptors {
                    more_files_than_may_be_open_are_read_by_turns
                    without_any_descriptor_each_file_is_reported
                    a_directory_is_listed_when_there_is_a_descriptor
                    a_directory_that_cannot_be_listed_at_the_stop_is_reported
                    when_descriptors_come_back_all_is_read
                    files_that_change_are_kept_open
                    a_closed_file_is_not_searched_for_in_a_link
                    what_could_never_be_opened_is_a_gap_when_it_goes
                    what_could_never_be_opened_is_a_gap_at_the_stop
                    what_may_be_lost_is_counted
                }
                pieces {
                    a_write_may_end_anywhere
                    a_pause_within_a_long_line_shows_nothing_of_it
                    a_line_cut_by_a_rotation_is_two_lines
                    a_line_ended_in_the_old_file_is_whole
                }
                behind {
                    a_deleted_file_is_let_go_in_time
                    a_rotated_file_is_kept_while_it_has_a_name
                    what_goes_on_while_the_output_is_behind_comes_later
                }
                places {
                    a_link_that_is_switched_a_hundred_times_is_followed
                    a_link_may_dangle_for_a_while
                    a_directory_made_anew_is_followed
                    what_is_no_file_for_a_while_is_waited_for
                    many_names_of_a_file_are_looked_at_by_turns
                }
                discover {
                    a_name_that_is_told_of_joins_without_a_listing
                    a_directory_whose_time_is_put_back_is_listed
                    a_listing_that_failed_once_is_soon_tried_again
                    a_directory_that_cannot_be_listed_is_tried_again
                    directories_that_change_all_the_time_take_little_of_it
                }
                stall {
                    a_slow_poll_is_told
                    a_slow_write_is_told
                    a_slow_task_of_the_merge_is_told
                }
            }
            $crate::__stamp! { alone
                large {
                    a_line_longer_than_memory_is_dealt_with_exactly
                    a_hole_of_a_gibibyte_costs_little
                    a_hole_with_nuls_in_it_costs_little
                }
                soak {
                    amid_change_and_errors_each_line_comes_soon
                    amid_change_and_errors_a_stop_is_quick
                }
                logger {
                    a_logger_may_write_into_the_merge
                    a_logger_that_panics_changes_nothing
                }
                process {
                    the_threads_of_a_merge_end_with_it
                    many_files_take_few_threads
                    a_line_of_40_megabytes_takes_little_memory
                    flushes_given_up_take_no_memory
                    requests_to_follow_that_are_given_up_take_no_memory
                }
            }
        }
    };
}

/// Makes tests of the cases that are listed: in this process, or each in one of its own.
#[doc(hidden)]
#[macro_export]
macro_rules! __stamp {
    ($how:ident $($topic:ident { $($case:ident)* })*) => {
        $(
            mod $topic {
                $(
                    #[test]
                    fn $case() {
                        $crate::__run!($how, $topic, $case);
                    }
                )*
            }
        )*
    };
}

/// Runs a case.
#[doc(hidden)]
#[macro_export]
macro_rules! __run {
    (together, $topic:ident, $case:ident) => {
        $crate::run(|| $crate::cases::$topic::$case(super::__given::backend()))
    };
    (alone, $topic:ident, $case:ident) => {
        $crate::alone(concat!(module_path!(), "::", stringify!($case)), || {
            $crate::cases::$topic::$case(super::__given::backend())
        })
    };
}
