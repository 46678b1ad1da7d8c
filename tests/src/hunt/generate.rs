//! Random cases: a little project, a command, and what changes before each further run. All of it is lines of shell,
//! so that what is tried, what is printed and what a person tries again are the same.
//!
//! A line holds no choice that is not in its text, does nothing that depends on time, inode numbers, link counts or
//! the order in which a folder happens to be read (which do not count, as the README says), and no two processes of
//! one line write the same file: otherwise a run would not be comparable with another.

use std::fmt;

use super::dice::Dice;

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The options of tracerun.
    pub options: Vec<&'static str>,
    /// What makes the project, in the project.
    pub setup: Vec<String>,
    /// The lines of the script that is run.
    pub script: Vec<String>,
    /// What happens before each further run.
    pub changes: Vec<Change>,
}

/// Something that happens between two runs.
#[derive(Clone, Debug)]
pub enum Change {
    /// A line of shell, run in the project.
    Line(String),
    /// A variable gets another value, or none.
    Variable(&'static str, Option<&'static str>),
    /// The command is run in another folder of the project, from now on.
    Directory(&'static str),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => f.write_str(line),
            Self::Variable(name, Some(value)) => write!(f, "export {name}={value}"),
            Self::Variable(name, None) => write!(f, "unset {name}"),
            Self::Directory(name) => write!(f, "now in: {name}"),
        }
    }
}

/// Files that are there in most projects.
const FILES: &[&str] = &["a", "b", "c", "d/a", "d/b", "e/x", "e/h.h", "x.c", "h.h"];
const FOLDERS: &[&str] = &["d", "e", "d/s", "bin", "."];
/// What scripts mostly write to.
const OUTPUTS: &[&str] = &["o", "p", "q", "d/o", "e/p"];
const OUTPUT_FOLDERS: &[&str] = &["out", "gen", "d/gen"];
const LINKS: &[&str] = &["l", "m", "d/l"];
/// Few and of one length, so that states come back, and that an edit may change nothing but the content.
const CONTENTS: &[&str] = &["x1\\n", "x2\\n", "x3\\n", "x1\\ny2\\n", "y2\\nx1\\n", ""];
const OUTSIDE: &[&str] = &["../outside/f", "../outside/g", "../outside/new"];
const MODES: &[&str] = &["644", "755", "600", "444", "400"];
const TOOL: &str = "#!/bin/sh\\ncat a \\\"\\$@\\\"\\n";

struct Author<'d>(&'d mut Dice);

impl Case {
    /// The case of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut author = Author(&mut dice);
        let mut options = vec!["--strict-listings"];
        if author.0.chance(85) {
            options.push("--cache-failures");
        }
        let setup = author.setup();
        let script = (0..1 + author.0.below(5)).map(|_| author.line()).collect();
        let changes = (0..3 + author.0.below(3)).map(|_| author.change()).collect();
        Self { options, setup, script, changes }
    }
}

impl Author<'_> {
    fn file(&mut self) -> &'static str {
        match self.0.below(20) {
            0..13 => self.0.pick(FILES),
            13..15 => self.0.pick(LINKS),
            15..17 => self.0.pick(OUTPUTS),
            17 => self.0.pick(OUTSIDE),
            18 => self.0.pick(&["m/a", "l/b", "d/../a", "l/../b", "e/../d/a", "./c", "bin/tool"]),
            _ => self.0.pick(&["none", "d/none", "a/none", "d/s/deep"]),
        }
    }

    fn folder(&mut self) -> &'static str {
        match self.0.below(10) {
            0..7 => self.0.pick(FOLDERS),
            7 => self.0.pick(LINKS),
            8 => self.0.pick(OUTPUT_FOLDERS),
            _ => self.0.pick(&["../outside", "d/..", "none", ".."]),
        }
    }

    fn output(&mut self) -> &'static str {
        match self.0.below(12) {
            0..9 => self.0.pick(OUTPUTS),
            9 => self.0.pick(FILES),
            10 => self.0.pick(&["l", "out/x", "gen/y", "d/gen/z"]),
            _ => self.0.pick(&["m", "d/s/new", "b"]),
        }
    }

    fn output_folder(&mut self) -> &'static str {
        self.0.pick(OUTPUT_FOLDERS)
    }

    fn any(&mut self) -> &'static str {
        match self.0.below(4) {
            0 => self.folder(),
            1 => self.output(),
            _ => self.file(),
        }
    }

    fn content(&mut self) -> &'static str {
        self.0.pick(CONTENTS)
    }

    fn setup(&mut self) -> Vec<String> {
        let mut lines = vec!["mkdir -p d/s e bin ../outside".to_owned()];
        for name in FILES {
            if self.0.chance(80) {
                let content = self.content();
                lines.push(match *name {
                    "x.c" => "printf '#include <h.h>\\nint x = N;\\n' > x.c".to_owned(),
                    "h.h" => "printf '#define N 1\\n' > h.h".to_owned(),
                    "e/h.h" if self.0.chance(70) => continue,
                    name => format!("printf '{content}' > {name}"),
                });
            }
        }
        if self.0.chance(60) {
            let content = self.content();
            lines.push(format!("printf '{content}' > ../outside/f"));
        }
        for name in LINKS {
            if self.0.chance(50) {
                let target = self.target();
                lines.push(format!("ln -s {target} {name}"));
            }
        }
        if self.0.chance(50) {
            lines.push(format!("printf \"{TOOL}\" > bin/tool && chmod 755 bin/tool"));
        }
        for name in OUTPUTS {
            if self.0.chance(20) {
                let content = self.content();
                lines.push(format!("printf '{content}' > {name}"));
            }
        }
        if self.0.chance(15) {
            lines.push("ln a d/hard".to_owned());
        }
        lines
    }

    fn target(&mut self) -> &'static str {
        self.0.pick(&["a", "b", "d", "e", "d/a", "none", "../outside/f", "../outside", "m", "e/x", "../a"])
    }

    /// A line of the script.
    fn line(&mut self) -> String {
        let (f, g) = (self.file(), self.file());
        let (o, p) = (self.output(), self.output());
        let (d, n) = (self.folder(), self.any());
        let (out, l) = (self.output_folder(), self.0.pick(LINKS));
        let (content, mode, target) = (self.content(), self.0.pick(MODES), self.target());
        let (a, b) = (self.0.pick(FILES), self.0.pick(FILES));
        // A folder is not copied into itself: what comes of that depends on the order in which it is read.
        let source = self.0.pick(&["e", "e", "d/s", "bin", "../outside", "l"]);
        let check = self.0.pick(&["-e", "-f", "-d", "-x", "-L", "-s", "-r"]);
        match self.0.below(98) {
            0..3 => format!("cat {f}"),
            3..7 => format!("cat {f} > {o}"),
            7 => format!("cat {f} {g} >> {o}"),
            8 => format!("cp {f} {o}"),
            9 => format!("cp -r {source} {out}"),
            10 => format!("cp -P {f} {o}"),
            11 => format!("mv {n} {o}"),
            12 => format!("mv {f} {g}"),
            13 => format!("sed -i s/x/z/ {f}"),
            14 => format!("sed s/x/z/ {f} > {o}"),
            15 => format!("sort {f} {g} > {o}"),
            16 => format!("sort -o {f} {f}"),
            17 => format!("cat {d}/*"),
            18 => format!("ls {d}"),
            19 => format!("ls -aF {d} > {o}"),
            20 => format!("ls -R {d}"),
            21 => format!("find {d} | sort"),
            22 => format!("find . -name '*.h' -o -name '{a}' | sort > {o}"),
            // Not `p`: it is there or not, as the shell that opens it or `find` is faster.
            23 => format!("find {d} -type f ! -name p 2>/dev/null | sort | xargs cat > p 2>/dev/null"),
            24 => format!("find {d} -printf '%P %y %m\\n' | sort"),
            25 => format!("ln -s {n} {o}"),
            26 => format!("ln -sfn {target} {l}"),
            27 => format!("ln {f} {o}"),
            28 => format!("ln -f {f} {o}"),
            29..32 => format!("test {check} {n} && echo yes || echo no"),
            32 => format!("test {check} {n} && cat {f} > {o}"),
            33 => format!("if [ -f {f} ]; then cat {f} > {o}; else echo none > {p}; fi"),
            34 => format!("t=$(mktemp) && cat {f} > \"$t\" && sort \"$t\" > {o}; rm -f \"$t\""),
            35 => format!("t=$(mktemp -d) && cp {f} \"$t/x\" && mv \"$t/x\" {o}; rm -rf \"$t\""),
            36 => format!("mkdir {out} && rmdir {out}"),
            37 => format!("mkdir -p {out} && cat {f} > {out}/x"),
            38 => format!("rm -rf {out}; mkdir -p {out}/y; printf '{content}' > {out}/y/z"),
            39 => format!("rm -f {f}"),
            40 => format!("rm -f {o}"),
            41 => format!("rm -rf {n}/gone {out}"),
            42 => format!("touch {o}"),
            43 => format!("touch -c {f}"),
            44 => format!("chmod {mode} {f}"),
            45 => format!("printf '{content}' > {o}; chmod {mode} {o}"),
            46 => format!("readlink {n}"),
            47 => format!("readlink -f {n}; realpath {f}"),
            48 => format!("{TAR} {d} 2>/dev/null | tar tf - 2>/dev/null"),
            49 => format!("{TAR} {a} {b} 2>/dev/null > q"),
            50 => format!("mkdir -p {out} && {TAR} {a} {d}/a 2>/dev/null | tar xf - -C {out} 2>/dev/null"),
            51 => format!("{PYTHON} \"import os; print(sorted(os.listdir('{d}')))\" 2>/dev/null"),
            52 => format!("{PYTHON} \"open('{o}','w').write(open('{f}').read()*2)\" 2>/dev/null"),
            53 => format!("cc -Ie -Id -I. -c x.c -o {o} 2>&1"),
            54 => "cpp -P -Ie -I. x.c > o.i 2>&1; cat o.i".to_owned(),
            55 => format!("cat > {o} <<E\n$A $(cat {f} 2>/dev/null)\nE"),
            56 => format!("echo \"$A ${{B-unset}}\" > {o}"),
            57 => "echo \"$A\"; echo \"${B-unset}\" >&2".to_owned(),
            58 => format!("cat {f} 2>/dev/null | sort | uniq -c | sort -o o"),
            59 => format!("cat {a} > o 2>/dev/null & sort {b} > p 2>/dev/null & wait"),
            60 => format!("for x in {d}/*; do echo \"$x\"; done"),
            61 => format!("(cd {d} && cat a ../b)"),
            62 => format!("(cd {d} && cat a > o)"),
            63 => format!("while read x; do echo \"<$x>\"; done < {f}"),
            64 => format!("head -c 3 {f}; wc -c {g}"),
            65 => format!("cmp {f} {g}"),
            66 => format!("dd if={f} of={o} bs=1 count=2 seek=1 conv=notrunc 2>/dev/null"),
            67 => format!("truncate -s 2 {o}"),
            68 => format!("install -m 640 {f} {o}"),
            69 => format!("exec 3< {f}; cat <&3; exec 3<&-"),
            70 => format!("tool {f}"),
            71 => format!("bin/tool {f}"),
            72 => format!("printf '{content}' >> {o}"),
            73 => format!("printf '{content}' > {o}; cat {o}"),
            74 => format!("stat -c '%a %F' {n}"),
            75 => format!("static read {f}"),
            76 => format!("static copy {f} {o}"),
            77 => format!("static names {d} | sort"),
            78 => format!("static mode {n}; static target {n}"),
            79 => format!("[ {check} {f} ] && static rename {o} {p}"),
            80 => format!("diff -r {d} {out}"),
            81 => format!("readlink {l}; cat {l}"),
            82 => format!("cat {l}/a {l}/b"),
            83..85 => format!("cat {f}; printf '{content}' > {f}"),
            85..87 => format!("x=$(cat {f}); echo \"$x!\" > {f}"),
            87 => format!("sort {f} > {f}.new && mv {f}.new {f}"),
            88 => format!("cat {f} && rm {f}"),
            89 => format!("ls {d}; rm -f {d}/a {d}/o"),
            90..93 => format!("readlink {l}"),
            93 => format!("readlink {l} > {o}"),
            94 => format!("find {d} -type l -printf '%P %l\\n' | sort"),
            95..97 => "echo \"<$A$B>\"".to_owned(),
            97 => format!("cp -r {source} {out}.tmp && rm -rf {out} && mv {out}.tmp {out}"),
            _ => format!("mkdir -p gen && cp {f} gen/a; mv gen {out}; ls {out}"),
        }
    }

    /// Something that happens between two runs.
    fn change(&mut self) -> Change {
        let (f, n, o) = (self.file(), self.any(), self.output());
        let (out, l) = (self.output_folder(), self.0.pick(LINKS));
        let (content, mode, target) = (self.content(), self.0.pick(MODES), self.target());
        let same_size = self.0.pick(&["x1\\n", "x2\\n", "x3\\n"]);
        Change::Line(match self.0.below(56) {
            0 => ":".to_owned(),
            1..6 => format!("printf '{content}' > {f}"),
            6..10 => {
                format!("touch -r {f} ../stamp && printf '{same_size}' > {f} && touch -r ../stamp {f}")
            }
            10 => format!("printf '{content}' >> {f}"),
            11..14 => format!("touch {f}"),
            14 => format!("touch -d @1000000000 {f}"),
            15..17 => format!("rm -rf {f}"),
            17 => format!("mv {f} {n}"),
            18 => "mv a t; mv b a; mv t b".to_owned(),
            19..22 => format!("ln -sfn {target} {l}"),
            22 => format!("cp {f} t && mv t {f}"),
            23..25 => format!("chmod {mode} {f}"),
            25 => format!("rm -rf {f}; mkdir {f}"),
            26 => format!("rm -rf {n}; printf '{content}' > {n}"),
            27 => "mv d t; mv e d; mv t e".to_owned(),
            28 => "mv d d.away; mkdir d".to_owned(),
            29 => "printf '#define N 2\\n' > e/h.h".to_owned(),
            30 => format!("printf \"{TOOL}\" > e/tool; chmod 755 e/tool"),
            31 => format!("printf '{content}' > d/new"),
            32 => format!("mkdir -p {out}; printf '{content}' > {out}/stranger"),
            33..36 => format!("rm -rf o p q d/o e/p {out}"),
            36..38 => format!("rm -rf {o}"),
            38 => format!("printf '{content}' > {o}"),
            39 => format!("chmod {mode} {o}"),
            40 => format!("ln -sfn {target} {o}"),
            41..45 => format!("rm -rf {f}; cp -a ../../saved/project/{f} {f}"),
            50..53 => format!("ln -sfn {target} {l}"),
            45 => "rm -rf d; cp -a ../../saved/project/d d".to_owned(),
            46 => format!("rm -rf {l}; cp -a ../../saved/project/{l} {l}"),
            47 => return Change::Directory(self.0.pick(&[".", "d", "d", "e"])),
            _ => {
                let name = self.0.pick(&["A", "B", "UNUSED"]);
                let value = [None, Some("1"), Some("2")][self.0.below(3)];
                return Change::Variable(name, value);
            }
        })
    }
}

const TAR: &str = "tar cf - --hard-dereference --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner";
const PYTHON: &str = "/usr/bin/python3 -I -S -E -B -c";
