//! A case that no list names would never run.

use std::fs;
use std::path::Path;

/// The list of the macro names each public function of a file of cases, in its order, under the file's topic.
#[test]
fn every_case_is_in_the_list_of_its_topic() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let list = fs::read_to_string(src.join("lib.rs")).expect("the list");
    let mut count = 0;
    for file in fs::read_dir(src.join("cases")).expect("the cases") {
        let path = file.expect("the cases").path();
        let topic = path.file_stem().and_then(|stem| stem.to_str()).expect("files of ours have plain names");
        let text = fs::read_to_string(&path).expect("a file of cases");
        let cases = text.lines().filter_map(|line| line.strip_prefix("pub fn ")?.split_once("<B: Backend>"));
        let listed: Vec<&str> = list
            .lines()
            .skip_while(|line| line.trim() != format!("{topic} {{"))
            .skip(1)
            .take_while(|line| line.trim() != "}")
            .map(str::trim)
            .collect();
        let cases: Vec<&str> = cases.map(|(case, _)| case).collect();
        assert_eq!(listed, cases, "the list of the macro `conformance`, topic {topic}");
        count += cases.len();
    }
    assert!(count >= 35, "{count} cases");
}
