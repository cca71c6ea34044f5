use super::*;

fn at(line: usize, column: usize) -> Place {
    Place { line, column }
}

fn only(source: &str) -> Node {
    let mut documents = documents(source).expect("is YAML");
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

#[test]
fn every_node_knows_its_place_and_its_writing() {
    let node = only("- secretKey: A\n  optional: true\n-  {path: \"/b\", filePermission: 0644}\n");
    let items = node.list().expect("a list");
    assert_eq!(items[0].map().expect("a map")[1].at, at(2, 3));
    assert_eq!(items[0].get("optional").expect("there").at, at(2, 13));
    assert_eq!(items[1].at, at(3, 4));
    let mode = items[1].get("filePermission").expect("there");
    let Data::Text { text, style } = &mode.data else {
        panic!("{mode:?}");
    };
    assert_eq!((text.as_str(), *style), ("0644", Style::Plain));
    let path = items[1].get("path").expect("there");
    assert!(matches!(
        path.data,
        Data::Text {
            style: Style::Quoted,
            ..
        }
    ));
}

#[test]
fn a_block_knows_where_its_text_begins() {
    let node = only("spec:\n  objects: |\n    - a\n    - b\n  x: |+\n\n     y\n");
    let spec = node.get("spec").expect("there");
    let style = |key: &str| match spec.get(key).expect("there").data {
        Data::Text { style, .. } => style,
        _ => panic!("no text"),
    };
    assert_eq!(style("objects"), Style::Literal { from: at(3, 5) });
    assert_eq!(style("x"), Style::Literal { from: at(6, 6) });
}

#[test]
fn aliases_are_what_they_stand_for() {
    let node = only("a: &x [1, 2]\nb: *x\n");
    assert_eq!(
        node.get("b").expect("there").list().expect("a list").len(),
        2
    );
}

#[test]
fn a_bomb_of_aliases_stays_small() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..20 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [before.as_str(); 9].join(","));
    }
    let error = documents(&bomb).expect_err("too large");
    assert_eq!(error.problem, YamlProblem::Large { most: 100_000 });
    assert_eq!(
        error.to_string(),
        format!(
            "{}: more than 100000 values, counting what aliases stand for: make it smaller",
            error.at
        )
    );
}

#[test]
fn what_is_no_yaml_is_refused_with_its_place() {
    for (source, line) in [
        ("a: [1, 2\n", 1),
        ("a: b: c\n", 1),
        ("x:\n  - a\n b: c\n", 3),
        ("a: &x [*x]\n", 1),
        ("*nowhere\n", 1),
        ("\"open\n", 1),
    ] {
        let error = documents(source).expect_err(source);
        assert_eq!(error.at.line, line, "{error}");
    }
    let deep = "[".repeat(1000);
    let error = documents(&deep).expect_err("too deep");
    assert!(matches!(error.problem, YamlProblem::Syntax(_)), "{error}");
}

#[test]
fn documents_are_told_apart_and_empty_ones_left_out() {
    assert_eq!(documents("").expect("nothing"), []);
    assert_eq!(
        documents("---\n---\na: 1\n---\n# b\n").expect("one").len(),
        1
    );
    assert_eq!(documents("a: 1\n---\nb: 2\n").expect("two").len(), 2);
}

#[test]
fn a_wiped_tree_keeps_its_shape_and_no_text() {
    let mut documents = documents("a: [b, {c: d}]\n").expect("is YAML");
    documents[0].wipe();
    let fields = documents[0].map().expect("a map");
    assert_eq!(fields[0].key, "");
    let items = fields[0].value.list().expect("a list");
    assert_eq!(items[0].text(), Some(""));
    let inner = items[1].map().expect("a map");
    assert_eq!(
        (inner[0].key.as_str(), inner[0].value.text()),
        ("", Some(""))
    );
}

/// The attack: few nodes, of which each is large.
#[test]
fn bytes_are_counted_before_aliases_are_copied() {
    let scalar = "x".repeat(300_000);
    let aliases = "- *a\n".repeat(2_000);
    let bomb = format!("- &a {scalar}\n{aliases}");
    let error = documents_within(&bomb, Limits::CLASS).expect_err("too large");
    assert_eq!(error.problem, YamlProblem::Long { most: 1 << 20 });
    assert_eq!(
        error.to_string(),
        "line 3, column 3: more than 1048576 bytes of text, counting what aliases stand for: make it smaller"
    );
    // The same as keys, as values, and within what an alias stands for.
    for (bomb, line) in [
        (format!("? &a {scalar}\n: 1\n? *a\n: 2\n? *a\n: 3\n"), 5),
        (format!("a: &a {scalar}\nb: *a\nc: *a\n"), 3),
        (format!("- &a [{scalar}]\n- &b [*a]\n- *b\n"), 2),
    ] {
        let error = documents_within(&bomb, Limits::CLASS).expect_err("too large");
        assert_eq!(error.problem, YamlProblem::Long { most: 1 << 20 });
        assert_eq!(error.at.line, line);
    }
}

#[test]
fn a_source_may_not_be_longer_than_what_it_holds() {
    let limits = Limits {
        nodes: 10,
        bytes: 100,
    };
    let comment = format!("a: 1 # {}\n", "x".repeat(93));
    let error = documents_within(&comment, limits).expect_err("too long");
    assert_eq!(error.problem, YamlProblem::Long { most: 100 });
    let comment = format!("a: 1 # {}\n", "x".repeat(92));
    assert_eq!(documents_within(&comment, limits).expect("fits").len(), 1);
}

#[test]
fn keys_count_as_values_do() {
    let limits = Limits {
        nodes: 5,
        bytes: 100,
    };
    assert!(documents_within("a: 1\nb: 2\n", limits).is_ok());
    let error = documents_within("a: 1\nb: 2\nc: 3\n", limits).expect_err("too many");
    assert_eq!(error.problem, YamlProblem::Large { most: 5 });
}

/// Anchors that nothing can refer to cost nothing.
#[test]
fn anchors_without_aliases_are_not_kept() {
    let text = format!("a: &a {}\n", "x".repeat(600_000));
    assert!(documents_within(&text, Limits::CLASS).is_ok());
}
