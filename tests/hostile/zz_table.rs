//! All victims' times in one table, once everybody else has ended.

#[tokio::test(flavor = "multi_thread")]
async fn victims_times() {
    crate::support::scene::print_table();
}
