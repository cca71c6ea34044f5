//! The definition of `PhaseSecret` that is committed is the one that the program prints.

use std::path::Path;
use std::process::Command;

/// For `kubectl`, and for the chart, which must be whole as a package.
const FILES: [&str; 2] = ["daemonset/crd.yaml", "daemonset/chart/files/crd.yaml"];

#[test]
fn the_committed_definition_is_what_crd_prints() {
    let printed = Command::new(env!("CARGO_BIN_EXE_phase-csi-provider"))
        .arg("crd")
        .output()
        .unwrap();
    assert!(printed.status.success());
    let printed = String::from_utf8(printed.stdout).unwrap();
    for file in FILES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            committed == printed,
            "{file}: run phase-csi-provider crd > {file}"
        );
    }
}
