//! The pages of `docs/`, and what stands in them between three back quotes.

use std::path::{Path, PathBuf};

/// A page: its path in the repository, and its text.
pub struct Page {
    pub path: String,
    pub text: String,
}

/// What stands between three back quotes.
pub struct Block {
    /// The page, and the line of the opening quotes.
    pub place: String,
    pub language: String,
    /// Without the indentation of the opening quotes.
    pub text: String,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder of the repository, by its path in it.
pub fn files(folder: &str) -> Vec<String> {
    let mut folders = vec![PathBuf::from(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

pub fn pages() -> Vec<Page> {
    let read = |path: String| Page {
        text: super::file(&path),
        path,
    };
    let pages: Vec<_> = files("docs").into_iter().map(read).collect();
    assert!(pages.len() > 10, "the pages are found");
    pages
}

impl Page {
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let Some(language) = line.trim_start().strip_prefix("```") else {
                continue;
            };
            let indent = line.len() - line.trim_start().len();
            let inside = lines.by_ref().map(|(_, line)| line);
            let inside = inside.take_while(|line| line.trim() != "```");
            let inside: Vec<_> = inside
                .map(|line| line.get(indent..).unwrap_or(""))
                .collect();
            blocks.push(Block {
                place: format!("{}:{}", self.path, number + 1),
                language: language.to_owned(),
                text: inside.join("\n") + "\n",
            });
        }
        blocks
    }

    /// The text without what stands between three back quotes.
    pub fn prose(&self) -> String {
        let parts = self.text.split("```").step_by(2);
        parts.collect()
    }
}

#[test]
fn blocks_are_cut_out_with_their_language_place_and_indentation() {
    let page = Page {
        path: "docs/x.md".to_owned(),
        text: "a\n\n1. b:\n   ```sh\n   one\n     two\n   ```\n```yaml\nc: d\n```\ne\n".to_owned(),
    };
    let blocks = page.blocks();
    let blocks: Vec<_> = blocks
        .iter()
        .map(|block| (&*block.place, &*block.language, &*block.text))
        .collect();
    assert_eq!(
        blocks,
        [
            ("docs/x.md:4", "sh", "one\n  two\n"),
            ("docs/x.md:8", "yaml", "c: d\n")
        ]
    );
}
