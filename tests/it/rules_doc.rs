//! No rule file in the documentation has a lint remark.

use std::fs;
use std::process::Command;

use super::docs::blocks;

#[test]
fn no_rule_file_in_the_documents_looks_like_a_slip() {
    let dir = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for file in ["README.md", "docs/RULES.md"] {
        for (line, block) in blocks(file) {
            if !block.starts_with("groups:") {
                continue;
            }
            checked += 1;
            let name = format!("{}-{line}.yaml", file.replace('/', "-"));
            fs::write(dir.path().join(&name), block).unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_sidewatch"))
                .args(["check", "rules", &name])
                .current_dir(dir.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{file}:{line}:\n{said}");
        }
    }
    assert!(checked >= 6, "{checked}");
}
