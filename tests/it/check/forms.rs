//! The three forms of a report, exit codes, and what never stands in them.

use std::io::Write;
use std::process::Stdio;

use super::{Files, class, command, found, pods};

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn people_see_the_line_and_what_of_it_is_meant() {
    let files = Files::of(&[&class("    recursive: true\n    filePermission: 0644\n")]);
    let output = files.check(&[]);
    let path = files.path(0);
    let path = path.display();
    assert_eq!(
        text(output.stdout),
        format!(
            "error[wrong-type]: spec.parameters.recursive is true or false to Kubernetes, not a text: quote it: \"true\"
 --> {path}:8:16 (SecretProviderClass shop/keys)
  |
8 |     recursive: true
  |                ^^^^

error[wrong-type]: spec.parameters.filePermission is a number to Kubernetes, not a text: quote it: \"0644\"
 --> {path}:9:21 (SecretProviderClass shop/keys)
  |
9 |     filePermission: 0644
  |                     ^^^^

1 class and no volumes in 1 file: 2 errors, no warnings
"
        )
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn programs_get_an_object_with_findings_and_a_summary() {
    let files = Files::of(&[&class("    recursive: true\n")]);
    let path = files.path(0);
    assert_eq!(
        files.json(&[]),
        serde_json::json!({
            "findings": [{
                "severity": "error",
                "rule": "wrong-type",
                "file": path,
                "line": 8,
                "column": 16,
                "object": "SecretProviderClass shop/keys",
                "message": "spec.parameters.recursive is true or false to Kubernetes, not a text: quote it: \"true\"",
            }],
            "summary": {"errors": 1, "warnings": 0, "files": 1, "classes": 1, "volumes": 0, "requests": null},
        })
    );
}

#[test]
fn a_workflow_gets_annotations() {
    let files = Files::of(&[&class("    recursive: true\n").replace("io/v1", "io/v1alpha1")]);
    let path = files.path(0);
    let path = path.display();
    assert_eq!(
        text(files.check(&["-o", "github"]).stdout),
        format!(
            "::warning file={path},line=1,col=13,title=deprecated-api-version::SecretProviderClass shop/keys: apiVersion secrets-store.csi.x-k8s.io/v1alpha1 is deprecated: write secrets-store.csi.x-k8s.io/v1
::error file={path},line=8,col=16,title=wrong-type::SecretProviderClass shop/keys: spec.parameters.recursive is true or false to Kubernetes, not a text: quote it: \"true\"
"
        )
    );
}

#[test]
fn no_form_shows_what_may_be_secret() {
    let token = format!("pss_service:v2:{}", "CANARY:".repeat(4));
    let mut texts: Vec<_> = pods::cases().into_iter().map(|case| case.text).collect();
    texts.push(class(&format!("    phaseAppEnvTag: [\"{token}\"]\n")));
    texts.push(class(&format!(
        "    phaseAppEnvTag: {token}\n    recursive: 1\n"
    )));
    texts.push(class(&format!("    {token}: x\n")));
    texts.push(class("").replace("name: keys", &format!("name: \"{token}\"")));
    texts.push(class(&format!(
        "  secretObjects: [{{secretName: \"{token}\"}}]\n"
    )));
    texts.push(
        r#"{"kind":"List","items":[{"kind":"Secret","data":{"a":"CANARY"}},{"kind":"SecretProviderClass"}]}"#
            .to_owned(),
    );
    for text in texts {
        let files = Files::of(&[&text]);
        for form in ["human", "json", "github"] {
            let output = files.check(&["-o", form]);
            let shown = format!("{output:?}");
            assert!(!shown.contains("CANARY"), "{shown}");
        }
    }
}

#[test]
fn a_file_that_is_no_yaml_is_a_finding_and_the_others_are_checked() {
    let files = Files::of(&["kind: [\n", &class("    recursive: true\n")]);
    let report = files.json(&[]);
    let rules: Vec<_> = found(&report).into_iter().map(|(rule, ..)| rule).collect();
    assert_eq!(rules, ["yaml", "wrong-type"]);
    let message = report["findings"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("not YAML: "), "{message}");
    assert!(
        message.ends_with(
            ": mend it there, or a line before; of a Helm chart, check what `helm template` prints"
        ),
        "{message}"
    );
    assert_eq!(files.check(&[]).status.code(), Some(1));
}

#[test]
fn usage_has_its_own_exit_code() {
    for (arguments, expected) in [
        (
            &["check", "-f", "/nowhere.yaml"][..],
            "error: /nowhere.yaml cannot be read: No such file or directory (os error 2): check the path\n",
        ),
        (
            &["check", "-f", "-", "-f", "-"],
            "error: -: given twice: standard input can be read once\n",
        ),
        (
            &["check", "-f", "-", "--allowed-host", "x.test"],
            "error: --allowed-host: host \"x.test\" does not start with https://: write https://<name>\n",
        ),
    ] {
        let output = command(arguments).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(output.stderr), expected);
        assert!(output.stdout.is_empty());
    }
    assert_eq!(command(&["check"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn standard_input_is_a_file_like_any_other() {
    let mut child = command(&["check", "-f", "-", "-o", "github"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = class("    recursive: true\n");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.starts_with("::error file=standard input,line=8,col=16"),
        "{shown}"
    );
}

#[test]
fn help_fits_one_screen_and_has_an_example() {
    let help = text(command(&["check", "--help"]).output().unwrap().stdout);
    assert!(help.lines().count() <= 40, "{help}");
    assert!(help.contains("phase-csi-provider check -f class.yaml"));
}

#[test]
fn every_example_is_fine() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.join("daemonset/examples");
    let mut arguments = vec!["check".to_owned(), "-o".to_owned(), "json".to_owned()];
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue; // of the pages in docs/, whose own tests check them
        }
        arguments.extend(["-f".to_owned(), path.to_str().unwrap().to_owned()]);
    }
    assert!(arguments.len() > 5);
    let output = command(&arguments).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["summary"]["errors"], 0, "{report}");
    let rules = found(&report).into_iter().map(|(rule, ..)| rule);
    assert!(
        rules.into_iter().all(|rule| rule == "dynamic-object-name"),
        "{report}"
    );
}

#[test]
fn files_that_are_no_manifests_are_refused_as_such() {
    let files = Files::of(&["x"]);
    let path = files.path(0);
    let shown = path.display();
    for (bytes, expected) in [
        (
            vec![0xff, 0xfe],
            format!("error: {shown} is not UTF-8 text: save it as UTF-8\n"),
        ),
        (
            vec![b'#'; 16 * 1024 * 1024 + 1],
            format!("error: {shown} is larger than 16777216 bytes: split it\n"),
        ),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let output = files.check(&[]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(text(output.stderr), expected);
    }
}
