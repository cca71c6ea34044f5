//! All that is wrong with a list of objects, in one error with places.

use phase_csi_cluster::{Node, secret};
use serde_json::json;
use tonic::Code;

use crate::support::{objects, refusal};

#[tokio::test]
async fn every_mistake_of_the_list_has_its_entry_field_line_and_column() {
    let node = Node::with("list-mistakes", vec![secret("/", "A", "a")])
        .start()
        .await;
    let list = "- {objectName: all, format: dotenvv}
- secretKey: A
  objectNam: b
- secretKey: A
  encoding: hexx
";
    let pod = node.pod("web", objects(list)).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::InvalidArgument, "{said}");
    let (class, mistakes) = said.split_once(": ").unwrap();
    assert_eq!(class, "SecretProviderClass list-mistakes/app-secrets");
    let expected = [
        r#"3 mistakes: objects[0].format (line 1, column 29): format "dotenvv" is not one of "dotenv", "json", "properties", "shell", "toml", "yaml": did you mean "dotenv"?"#,
        r#"objects[1].objectNam (line 3, column 3): unknown field "objectNam": did you mean "objectName"?"#,
        r#"objects[2].encoding (line 5, column 13): encoding "hexx" is not one of "utf-8", "base64", "hex": did you mean "hex"?"#,
    ];
    assert_eq!(mistakes, expected.join("; "));
    assert_eq!(node.phase.connections(), 0, "Phase is not even asked");
}

#[tokio::test]
async fn mistakes_that_do_not_fit_into_500_bytes_are_counted() {
    let node = Node::with("many-mistakes", vec![secret("/", "A", "a")])
        .start()
        .await;
    let entry = "- {secretKey: A, encoding: rot13, include: [x], filePermission: rw}\n";
    let pod = node.pod("web", objects(&entry.repeat(40))).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::InvalidArgument, "{said}");
    assert!(said.contains(": 120 mistakes: objects[0]"), "{said}");
    assert!(said.ends_with(" more"), "{said}");
}

#[tokio::test]
async fn mistakes_of_parameters_and_of_the_list_are_told_together() {
    let node = Node::with("both-mistakes", vec![secret("/", "A", "a")])
        .start()
        .await;
    let class = json!({
        "objects": "- objectName: A\n",
        "processors": "A: {type: base46}",
        "nameTransformer": "cammel",
    });
    let pod = node.pod("web", class).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::InvalidArgument, "{said}");
    for part in [
        "3 mistakes: ",
        r#"nameTransformer "cammel" is not one of"#,
        r#"processors.A.type (line 1, column 11): type "base46" is not one of "plain", "base64": did you mean "base64"?"#,
        r#"objects[0] (line 1, column 3): objectName "A" names a file but no secret: add secretKey: "A""#,
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn a_list_that_is_no_yaml_is_told_with_its_place() {
    let node = Node::with("no-yaml", vec![secret("/", "A", "a")])
        .start()
        .await;
    let pod = node
        .pod("web", objects("- secretKey: A\n  path: [/x\n"))
        .await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::InvalidArgument, "{said}");
    assert!(said.contains("objects (line "), "{said}");
    node.edit_class(objects("- secretKey: A")).await;
    pod.mount_at_last().await;
    assert_eq!(pod.volume().names(), ["A"]);
}
