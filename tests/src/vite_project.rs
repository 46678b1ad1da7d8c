//! A small project with React and TypeScript that Vite builds.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::fixture;

const FILES: [(&str, &str); 7] = [
    ("package.json", r#"{"name":"app","private":true,"type":"module"}"#),
    (
        "tsconfig.json",
        r#"{"compilerOptions":{"jsx":"react-jsx","strict":true,"module":"esnext","moduleResolution":"bundler","types":[],"outDir":"tsc-out","rootDir":"lib"},"include":["lib"]}"#,
    ),
    ("index.html", "<!doctype html><div id=root></div><script type=module src=/src/main.tsx></script>"),
    (
        "vite.config.ts",
        "import { defineConfig } from 'vite'\nimport react from '@vitejs/plugin-react'\n\
         export default defineConfig({ plugins: [react()] })\n",
    ),
    (
        "src/main.tsx",
        "import { createRoot } from 'react-dom/client'\nimport { greeting } from '../lib/greeting'\n\
         createRoot(document.getElementById('root')!).render(<h1>{greeting} {import.meta.env.VITE_NAME}</h1>)\n",
    ),
    ("lib/greeting.ts", "export const greeting: string = 'hello'\n"),
    (
        "lib/greeting.test.js",
        "import { expect, test } from 'vitest'\nimport { greeting } from './greeting'\n\
         test('greets', () => expect(greeting).not.toBe(''))\n",
    ),
];

/// Makes it in a folder, with packages of its own; `false`, said, if `scripts/setup` did not install them.
///
/// # Panics
/// It can't be written.
#[must_use]
pub fn vite_project(folder: &Path) -> bool {
    let Some(web) = fixture("web") else { return false };
    let packages = web.join("node_modules");
    let copied = Command::new("cp").args(["-r", "--reflink=auto"]).arg(packages).arg(folder).status();
    assert!(copied.expect("cp runs").success());
    for (name, content) in FILES {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
        fs::write(path, content).expect("written");
    }
    true
}
