//! What every adapter of the broker port promises, asked of all three: one suite. What only one
//! of them can show (a frozen server, a full disk, a broker whose faults come from a seed) is in its own module.

#![expect(
    clippy::unwrap_used,
    clippy::large_futures,
    clippy::large_stack_frames,
    reason = "a test may panic, and may be large"
)]

mod bus;
mod embedded;
mod fixture;
mod gone;
mod log;
mod nats;
mod restart;
mod sim;
mod store;

/// Runs every behaviour of the suite against one kind of broker.
macro_rules! suite {
    ($name:ident: $fixture:ty, $runtime:tt; $($module:ident: $($behaviour:ident)*;)*) => {
        mod $name {
            $(mod $module {
                $(#[tokio::test $runtime]
                async fn $behaviour() {
                    let fixture = <$fixture as crate::fixture::Fixture>::start().await;
                    crate::fixture::in_time(crate::$module::$behaviour(fixture)).await;
                })*
            })*
        }
    };
}

/// The list of behaviours, once.
macro_rules! suites {
    ($($name:ident: $fixture:ty, $runtime:tt;)*) => {
        $(suite! { $name: $fixture, $runtime;
            bus:
                messages_of_a_publisher_arrive_in_order
                a_star_is_one_token_and_an_open_end_the_rest
                a_subscription_hears_what_is_published_once_it_is_returned
                every_subscription_gets_its_own_copy
                a_dropped_subscription_listens_no_more
                a_request_is_answered_to_who_asked
                a_request_that_nobody_listens_to_fails_at_once
                a_request_that_nobody_answers_times_out
                the_trace_context_travels_with_the_message
                the_largest_payload_arrives_and_a_larger_one_is_refused
                what_is_no_pattern_is_refused
                a_queue_that_runs_over_says_so_and_goes_on;
            log:
                records_count_from_one
                an_append_that_expects_another_last_is_not_written
                a_read_gives_exactly_what_was_asked_for
                a_read_of_the_future_is_unavailable
                a_read_of_a_long_log_has_no_holes
                a_read_of_what_was_trimmed_says_where_the_log_begins
                a_log_trimmed_to_its_end_keeps_its_last
                a_trim_beyond_the_last_is_refused_and_changes_nothing
                a_trim_can_be_repeated
                a_trim_during_a_read_never_makes_it_skip
                the_largest_record_is_written_and_a_larger_one_is_refused
                partitions_are_apart
                another_process_sees_an_append_at_once
                of_competing_appends_one_wins_each_sequence;
            store:
                a_key_without_a_value_is_none
                a_put_must_expect_the_revision_that_is_there
                of_competing_puts_one_wins
                another_process_sees_a_put_at_once
                a_purge_takes_whole_tokens
                a_purged_key_begins_anew_with_another_revision
                a_scan_gives_what_is_at_and_below_by_whole_tokens
                a_scan_gives_many_values
                a_scan_shows_what_stays_while_others_come_and_go
                keys_of_rooms_with_any_name_are_kept_apart
                what_is_no_key_is_refused
                the_largest_value_is_stored_and_a_larger_one_is_refused
                partitions_are_apart;
            gone:
                an_erased_version_is_in_no_file
                an_erase_leaves_what_is_current_and_what_is_of_another_key
                a_log_trimmed_to_its_end_leaves_nothing_in_files
                a_scrub_leaves_only_what_is_current
                a_scrub_of_little_leaves_only_what_is_current
                a_scrub_leaves_nothing_beside_the_note_of_a_purge
                a_scrub_takes_nothing_that_is_put_meanwhile;
            restart:
                what_was_acknowledged_is_there_after_a_crash
                a_log_trimmed_to_its_end_keeps_its_last_through_a_crash
                a_revision_is_not_given_out_again_after_a_crash;
        })*
    };
}

suites! {
    on_a_folder: crate::fixture::OnFolder, (flavor = "multi_thread", worker_threads = 2);
    on_nats: crate::fixture::OnNats, (flavor = "multi_thread", worker_threads = 2);
    on_the_sim: crate::fixture::OnSim, (start_paused = true);
}
