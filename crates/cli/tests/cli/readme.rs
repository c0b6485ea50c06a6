//! Runs the commands that the README shows.

use std::path::Path;

use crate::tool::{Dir, Tool};

#[test]
fn the_commands_of_readme_run() {
    let dir = Dir::new();
    dir.write("logs/a.log", "one\nan error\n");
    dir.write("logs/b.log", "two\n");
    let programs = Path::new(env!("CARGO_BIN_EXE_tailmerge")).parent().unwrap();
    let mut commands = 0;
    for line in include_str!("../../README.md").lines().filter(|line| line.starts_with("tailmerge -")) {
        // One that follows ends here, and its output is looked at whole.
        let command = line.split(' ').take_while(|word| !["|", "#"].contains(word)).collect::<Vec<_>>().join(" ");
        let ends = ["--once", "--explain", "--verify"].iter().any(|option| command.contains(option));
        let command = if ends { command } else { command + " --once" };
        let script = format!("PATH=\"{}:$PATH\"; {command}", programs.display());
        let finished = Tool::new(Path::new("sh"), &dir.path("")).args(["-c", &script]).start().finish().expect(0);
        if command.contains("--prefix") {
            assert!(String::from_utf8_lossy(&finished.stdout).contains("a.log: an error\n"), "{command}");
        }
        commands += 1;
    }
    assert_eq!(commands, 6);
    assert_eq!(dir.text("all.log").lines().count(), 3);
}
