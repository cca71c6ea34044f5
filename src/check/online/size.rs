//! How large an answer is.

use prost::Message;
use secrecy::ExposeSecret;

use crate::provider::grpc::{File as WireFile, MountResponse, ObjectVersion};
use crate::render::File;

/// The bytes of the answer that the driver would get, without making it: the
/// files' contents stay where they are.
pub(super) fn size(files: &[File]) -> usize {
    let versions = files.iter().map(|file| ObjectVersion {
        id: file.path.clone(),
        version: file.version.clone(),
    });
    let frame = MountResponse {
        object_version: versions.collect(),
        error: None,
        files: Vec::new(),
    };
    frame.encoded_len() + files.iter().map(encoded).sum::<usize>()
}

/// One file in an answer: its own length stands before it.
fn encoded(file: &File) -> usize {
    let message = WireFile {
        path: file.path.clone(),
        mode: i32::try_from(file.mode).unwrap_or_default(),
        contents: Vec::new(),
    };
    let contents = match file.contents.expose_secret().len() {
        0 => 0,
        length => 1 + prost::length_delimiter_len(length) + length,
    };
    let length = message.encoded_len() + contents;
    1 + prost::length_delimiter_len(length) + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_encoded_answer() {
        for length in [0, 1, 127, 128, 20_000] {
            let file = |path: &str| File {
                path: path.to_owned(),
                mode: 0o644,
                contents: vec![7; length].into(),
                version: "v".repeat(43),
                origin: None,
            };
            let files = [file("A"), file(&"b".repeat(200))];
            let whole = MountResponse {
                object_version: files
                    .iter()
                    .map(|file| ObjectVersion {
                        id: file.path.clone(),
                        version: file.version.clone(),
                    })
                    .collect(),
                error: None,
                files: files
                    .iter()
                    .map(|file| WireFile {
                        path: file.path.clone(),
                        mode: 0o644,
                        contents: file.contents.expose_secret().to_vec(),
                    })
                    .collect(),
            };
            assert_eq!(size(&files), whole.encoded_len(), "{length}");
        }
    }
}
