//! Files that were changed, moved or put there by somebody else.

use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{CWD, FileType, FlockOperation, Mode, flock, mknodat};

use super::shelf::Shelf;
use super::*;

/// On this thread, where its lines are caught.
fn shelf(node: &Node) -> Shelf {
    Shelf::open(node.path.clone(), Limits::default(), node.hands.clock()).unwrap()
}

fn told_once(name: &str, flaw: &str) -> String {
    format!("{name:?}: {flaw}: it is set aside in set-aside and Phase is asked again")
}

#[tokio::test]
async fn each_changed_byte_and_each_cut_is_noticed() {
    let node = Node::with_image().await;
    let file = node.file(1, "image");
    let whole = fs::read(&file).unwrap();
    let log = Log::default();
    let _guard = log.install();
    let shelf = shelf(&node);
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        for bytes in [&changed, &whole[..at]] {
            fs::write(&file, bytes).unwrap();
            assert!(shelf.load(&key(1)).is_none(), "byte {at}");
            assert!(!file.exists(), "byte {at}");
        }
    }
    assert_eq!(node.aside().len(), 16, "no more are kept");
    let name = format!("{}.image", key(1).name());
    assert_eq!(
        log.lines(),
        [
            told_once(&name, "it is not a file of this version of the provider"),
            told_once(&name, "it is damaged"),
        ]
    );
    fs::write(&file, whole).unwrap();
    assert!(shelf.load(&key(1)).is_some());
}

#[tokio::test]
async fn a_changed_mark_costs_the_mark_alone() {
    let node = Node::with_image().await;
    let file = node.file(1, "mark");
    let whole = fs::read(&file).unwrap();
    let shelf = shelf(&node);
    node.hands.pass(1);
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x80;
        fs::write(&file, &changed).unwrap();
        let loaded = shelf.load(&key(1)).unwrap();
        assert_eq!((minutes(&loaded), loaded.volumes.len()), (Some(1), 0));
        assert!(!file.exists());
    }
    let aside = node.aside().len();
    fs::write(&file, "").unwrap();
    assert!(shelf.load(&key(1)).is_some());
    assert!(
        file.exists() && node.aside().len() == aside,
        "what a power cut leaves"
    );
}

#[tokio::test]
async fn files_that_changed_places_are_noticed() {
    let node = Node::with_image().await;
    let store = node.store().await;
    save(&store, 2, 2);
    store.flush().await;
    let swap = |one: PathBuf, other: PathBuf| {
        let (a, b) = (fs::read(&one).unwrap(), fs::read(&other).unwrap());
        fs::write(one, b).unwrap();
        fs::write(other, a).unwrap();
    };
    swap(node.file(1, "mark"), node.file(2, "mark"));
    let loaded = store.load(&key(1)).await.unwrap();
    assert_eq!((loaded.id, loaded.volumes.len()), ([1; 16], 0));
    swap(node.file(1, "image"), node.file(2, "image"));
    assert_eq!((kept(&store, 1).await, kept(&store, 2).await), (None, None));
    let node = Node::with_image().await;
    swap(node.file(1, "image"), node.file(1, "mark"));
    assert!(node.load().await.is_none());
}

#[tokio::test]
async fn what_does_not_belong_there_is_set_aside_with_one_warning() {
    let node = Node::with_image().await;
    let outside = node.path.with_file_name("outside");
    fs::write(&outside, "not ours").unwrap();
    let at = |name: &str| node.path.join(name);
    fs::write(at("README"), "text").unwrap();
    fs::write(at(".tmp-notes"), "text").unwrap();
    symlink(&outside, at("link")).unwrap();
    symlink(&outside, node.file(2, "image")).unwrap();
    fs::create_dir_all(node.file(3, "image").join("inner")).unwrap();
    fs::create_dir_all(at("lost+found")).unwrap();
    fs::create_dir_all(at("directory")).unwrap();
    mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let log = Log::default();
    let guard = log.install();
    let shelf = shelf(&node);
    drop(guard);
    let loaded = shelf.load(&key(1));
    assert!(loaded.is_some());
    let own = ["image", "mark"].map(|ending| format!("{}.{ending}", key(1).name()));
    let rest = ["clock", "directory", "lost+found", "set-aside"].map(str::to_owned);
    let mut expected = [&own[..], &rest].concat();
    expected.sort();
    assert_eq!(entries(&node.path), expected);
    assert_eq!(node.aside().len(), 6);
    assert_eq!(fs::read_to_string(outside).unwrap(), "not ours");
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].ends_with(
            "was not written by this version of the provider: it is set aside in set-aside"
        ),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_link_in_place_of_a_file_is_neither_read_nor_written_through() {
    let node = Node::with_image().await;
    let store = node.store().await;
    let (file, outside) = (node.file(1, "image"), node.path.with_file_name("outside"));
    fs::rename(&file, &outside).unwrap();
    symlink(&outside, &file).unwrap();
    let before = fs::read(&outside).unwrap();
    assert_eq!(kept(&store, 1).await, None);
    assert!(file.symlink_metadata().is_err(), "set aside");
    symlink(&outside, &file).unwrap();
    save(&store, 1, 2);
    store.flush().await;
    assert!(file.symlink_metadata().unwrap().is_file());
    assert_eq!(kept(&store, 1).await, Some(2));
    assert_eq!(fs::read(&outside).unwrap(), before);
}

#[tokio::test]
async fn no_more_than_16_files_and_64_mib_are_set_aside() {
    let node = Node::with_image().await;
    for number in 0..20 {
        fs::write(node.path.join(format!("foreign-{number}")), "").unwrap();
    }
    node.store().await;
    assert_eq!(node.aside().len(), 16);
    let large = fs::File::create(node.path.join("large")).unwrap();
    large.set_len((64 << 20) - 1).unwrap();
    node.store().await;
    assert_eq!(node.aside().len(), 16);
    fs::write(node.path.join("larger"), "..").unwrap();
    node.store().await;
    assert_eq!(node.aside(), ["larger"]);
}

#[tokio::test]
async fn what_a_killed_process_left_is_swept_and_what_a_live_one_writes_is_not() {
    let node = Node::with_image().await;
    let [left, live] = [1, 2].map(|number| node.path.join(format!(".tmp-{number:016x}")));
    fs::write(&left, "half").unwrap();
    fs::write(&live, "half").unwrap();
    let file = fs::File::open(&live).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    fs::remove_file(node.file(1, "image")).unwrap();
    shelf(&node);
    assert!(!left.exists() && live.exists());
    assert!(!node.file(1, "mark").exists(), "without its image");
    assert_eq!(node.aside(), [""; 0]);
}

#[tokio::test]
async fn a_directory_that_somebody_else_filled_stays_as_it_is() {
    let log = Log::default();
    let _guard = log.install();
    let filled: [fn(&Path); 3] = [
        |path| fs::write(path.join("passwd"), "root").unwrap(),
        |path| fs::write(path.join("clock"), "root").unwrap(),
        |path| fs::create_dir(path.join("log")).unwrap(),
    ];
    for (number, fill) in filled.into_iter().enumerate() {
        let node = Node::new();
        fs::create_dir(&node.path).unwrap();
        fs::set_permissions(&node.path, PermissionsExt::from_mode(0o755)).unwrap();
        fill(&node.path);
        let before = entries(&node.path);
        let store = node.store().await;
        save(&store, 1, 1);
        store.flush().await;
        assert_eq!(entries(&node.path), before);
        let mode = fs::metadata(&node.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        let name = &before[0];
        assert_eq!(
            log.lines()[number],
            format!(
                "holds {name:?}, which the provider did not write: give a new or an empty directory: nothing is kept across restarts until the next start"
            )
        );
    }
}

#[tokio::test]
async fn a_new_file_system_is_an_empty_directory() {
    let node = Node::new();
    fs::create_dir_all(node.path.join("lost+found")).unwrap();
    let store = node.store().await;
    save(&store, 1, 1);
    store.flush().await;
    assert_eq!(kept(&store, 1).await, Some(1));
}
