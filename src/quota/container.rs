//! How much memory the container has.

use std::fs;
use std::path::Path;

/// Where nothing sets a limit.
const DEFAULT: u64 = 256 << 20;
/// A program with less than this cannot work, whatever the limit says.
const LEAST: u64 = 32 << 20;

/// The limit of this process's control group, in bytes; 256 MiB where it has none.
#[must_use]
pub fn memory_limit() -> u64 {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit(Path::new("/sys/fs/cgroup"), &own)
}

/// The limit by the files of control groups of either version.
fn limit(root: &Path, own: &str) -> u64 {
    let two = own.lines().filter_map(|line| line.strip_prefix("0::/"));
    let one = own.lines().filter_map(|line| line.split_once(":memory:/"));
    let files = two
        .map(|path| root.join(path).join("memory.max"))
        .chain([root.join("memory.max")])
        .chain(one.map(|(_, path)| root.join("memory").join(path).join(ONE)))
        .chain([root.join("memory").join(ONE)]);
    // What says `max`, or the largest number there is, sets none.
    let limits = files.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    let least = limits.filter(|limit| *limit < 1 << 60).min();
    least.unwrap_or(DEFAULT).max(LEAST)
}

/// The file of version one.
const ONE: &str = "memory.limit_in_bytes";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn limit_of(files: &[(&str, &str)], own: &str) -> u64 {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        limit(root.path(), own)
    }

    #[test]
    fn the_limit_is_that_of_the_container() {
        let mib = |number: u64| number << 20;
        assert_eq!(
            limit_of(&[("memory.max", "536870912\n")], "0::/\n"),
            mib(512)
        );
        let both = [("memory.max", "max\n"), ("a/b/memory.max", "134217728\n")];
        assert_eq!(limit_of(&both, "0::/a/b\n"), mib(128));
        let one = [("memory/x/memory.limit_in_bytes", "268435456\n")];
        assert_eq!(limit_of(&one, "9:cpu:/\n4:memory:/x\n"), mib(256));
    }

    #[test]
    fn without_a_limit_it_is_the_charts() {
        assert_eq!(limit_of(&[], ""), DEFAULT);
        assert_eq!(limit_of(&[("memory.max", "max")], "0::/\n"), DEFAULT);
        let none = [("memory/memory.limit_in_bytes", "9223372036854771712")];
        assert_eq!(limit_of(&none, ""), DEFAULT);
        assert_eq!(limit_of(&[("memory.max", "1024")], "0::/"), LEAST);
    }
}
