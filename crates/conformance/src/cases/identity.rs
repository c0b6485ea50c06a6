//! Which file is which: names that mean one file, and the output, which is no input.

use tailmerge_core::Backend;

use crate::kit::{Scene, block_on, numbered, start, start_blocking, stop, stop_blocking, until};

/// One file under many names is one input.
pub fn one_file_is_one_input<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    scene.hard_link("a.log", "hard.log");
    scene.symlink("a.log", "soft.log");
    let a = scene.path("a.log");
    let builder = scene.builder().path(&a).input(&a).path(scene.path("./a.log")).input(scene.pattern("*.log"));
    let merge = start(builder, backend);
    scene.expect("1\n");
    until("the other names are told", || scene.events.count("another name of a file that is followed") >= 2);
    scene.append("soft.log", "2\n");
    scene.append("hard.log", "3\n");
    for name in ["a.log", "hard.log", "soft.log"] {
        scene.looked(&merge, name);
    }
    let report = stop(&merge);
    scene.assert_output("1\n2\n3\n");
    assert_eq!(report.inputs.len(), 1, "{report:?}");
}

/// Files that hold the same bytes are two inputs.
pub fn two_files_alike_are_two_inputs<B: Backend>(backend: B) {
    let scene = Scene::new();
    let lines = numbered("the same", 0..100);
    scene.write("a.log", &lines);
    scene.write("b.log", &lines);
    let merge = start_blocking(scene.builder().input(scene.pattern("*.log")), backend);
    scene.expect_lines(200);
    stop_blocking(&merge);
    scene.check(["a.log", "b.log"]);
}

/// The output matches the pattern, under its own name and under two others: it is not read.
pub fn the_output_is_not_read<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("all", "");
    scene.symlink("all", "soft");
    scene.hard_link("all", "hard");
    scene.write("a", "1\n");
    let merge = start(scene.builder().input(scene.pattern("*")), backend);
    scene.expect("1\n");
    for (line, all) in [("2\n", "1\n2\n"), ("3\n", "1\n2\n3\n")] {
        scene.append("a", line);
        scene.expect(all);
        for name in ["all", "soft", "hard"] {
            scene.looked(&merge, name);
        }
    }
    let asked = block_on("follow", merge.follow(scene.path("soft")));
    asked.expect("it is taken on, and refused when it is looked at");
    scene.looked(&merge, "soft");
    let report = stop(&merge);
    scene.assert_output("1\n2\n3\n");
    assert_eq!(report.inputs.len(), 1, "{report:?}");
}

/// An output that is no file yet is no input either once it is there.
pub fn a_new_output_is_not_read<B: Backend>(backend: B) {
    let scene = Scene::new();
    let merge = start_blocking(scene.builder().input(scene.pattern("*")), backend);
    scene.write("a", "1\n");
    scene.expect("1\n");
    scene.looked(&merge, "all");
    stop_blocking(&merge);
    scene.assert_output("1\n");
}

/// Nor is a file that the host says it writes itself, under whatever name it is found.
pub fn what_the_host_writes_is_not_read<B: Backend>(backend: B) {
    let scene = Scene::new();
    scene.write("a.log", "1\n");
    scene.write("own.log", "own\n");
    scene.symlink("own.log", "soft.log");
    let builder = scene.builder().input(scene.pattern("*.log")).never(scene.path("own.log"));
    let merge = start(builder, backend);
    scene.expect("1\n");
    scene.append("own.log", "own\n");
    for name in ["own.log", "soft.log"] {
        scene.looked(&merge, name);
    }
    stop(&merge);
    scene.assert_output("1\n");
}
