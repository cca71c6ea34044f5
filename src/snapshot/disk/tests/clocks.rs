//! A clock that goes backwards or jumps does not make anything younger.

use super::*;

/// Age in minutes, and how many volumes are known.
async fn told(node: &Node) -> (Option<u64>, usize) {
    let loaded = node.load().await.unwrap();
    (minutes(&loaded), loaded.volumes.len())
}

#[tokio::test]
async fn within_a_boot_the_wall_clock_may_jump() {
    let node = Node::with_image().await;
    node.hands.pass(10);
    for wall in [-8000, 0, 500_000] {
        node.hands.set_wall(wall);
        assert_eq!(told(&node).await, (Some(10), 1), "wall clock {wall}");
    }
}

#[tokio::test]
async fn after_a_reboot_the_wall_clock_counts_and_volumes_are_gone() {
    let node = Node::with_image().await;
    node.hands.pass(10);
    node.hands.reboot(2);
    assert_eq!(told(&node).await, (Some(10), 0));
    node.hands.set_wall(-1);
    assert_eq!(told(&node).await, (None, 0), "before it was confirmed");
}

#[tokio::test]
async fn after_a_reboot_a_clock_before_any_that_was_seen_tells_nothing() {
    let log = Log::default();
    let node = Node::with_image().await;
    node.hands.pass(30);
    // Only notes the time.
    node.store().await.flush().await;
    wait_for_clock(&node, 30).await;
    node.hands.reboot(2);
    node.hands.set_wall(29);
    let guard = log.install();
    assert_eq!(told(&node).await, (None, 0));
    drop(guard);
    node.hands.set_wall(31);
    assert_eq!(told(&node).await, (Some(31), 0), "it has caught up");
}

/// Until the file says so many minutes.
async fn wait_for_clock(node: &Node, minutes: u64) {
    let wall = format!(" {}\n", (9000 + minutes) * MINUTE);
    for _ in 0..500 {
        if fs::read_to_string(node.path.join("clock")).is_ok_and(|text| text.contains(&wall)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the time is not noted");
}

#[tokio::test]
async fn after_a_reboot_a_mark_is_a_witness_too() {
    let node = Node::with_image().await;
    let store = node.store().await;
    let confirmed = store.now();
    node.hands.pass(20);
    store.mark(
        &key(1),
        Mark {
            image: [1; 16],
            confirmed,
            volumes: Vec::new(),
        },
    );
    store.flush().await;
    fs::remove_file(node.path.join("clock")).unwrap();
    node.hands.reboot(2);
    node.hands.set_wall(19);
    assert_eq!(told(&node).await, (None, 0));
    node.hands.set_wall(20);
    assert_eq!(told(&node).await, (Some(20), 0));
}

#[tokio::test]
async fn volumes_answered_in_an_outage_after_a_reboot_are_known() {
    let node = Node::with_image().await;
    node.hands.reboot(2);
    node.hands.pass(10);
    let store = node.store().await;
    let confirmed = store.load(&key(1)).await.unwrap().confirmed;
    store.mark(
        &key(1),
        Mark {
            image: [1; 16],
            confirmed,
            volumes: vec![[5; 16]; 3],
        },
    );
    store.flush().await;
    node.hands.pass(5);
    assert_eq!(told(&node).await, (Some(15), 3));
}

#[tokio::test]
async fn a_clock_set_back_is_told_once_with_the_way_out() {
    let node = Node::with_image().await;
    wait_for_clock(&node, 0).await;
    node.hands.reboot(2);
    node.hands.set_wall(-5);
    let log = Log::default();
    let guard = log.install();
    let shelf = shelf::Shelf::open(node.path.clone(), Limits::default(), node.hands.clock());
    drop(guard);
    assert_eq!(shelf.unwrap().load(&key(1)).unwrap().age, None);
    assert_eq!(
        log.lines(),
        [
            "the clock stands before a time that was seen: what was kept before a reboot is not used until it passes that; if the clock is right now, remove the file clock"
        ]
    );
}
