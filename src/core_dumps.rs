//! No copy of this process's memory on disk: it holds tokens and plaintext.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Switches core dumps off for good, and leaves `/proc/<pid>/mem` and its like to root.
///
/// # Errors
/// The kernel refuses.
pub fn off() -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    // A limit of zero does not hold where dumps are piped to a program.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
