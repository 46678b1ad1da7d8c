//! Servers that others wrote, each in a folder of its own, for as long as a test wants them.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A server in the foreground; it ends with this.
#[derive(Debug)]
pub struct Server {
    process: Child,
    argv: Vec<PathBuf>,
    port: u16,
    folder: TempDir,
}

impl Server {
    /// nginx with its WebDAV; `listen` and `more` are added to its configuration.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn nginx(listen: &str, more: &str) -> Self {
        let (folder, port) = (folder(&["dav", "tmp"]), free_port());
        let at = folder.path().display();
        let text = format!(
            "daemon off; pid {at}/pid; error_log {at}/error.log; events {{}}\n\
             http {{ access_log off; client_body_temp_path {at}/tmp; client_max_body_size 0;\n\
             server {{ listen 127.0.0.1:{port}{listen}; root {at}/dav; {more}\n\
             location / {{ dav_methods PUT; create_full_put_path on; }} }} }}\n"
        );
        let (conf, log) = (folder.path().join("conf"), folder.path().join("error.log"));
        fs::write(&conf, text).expect("written");
        let prefix = folder.path().to_owned();
        let argv = vec!["nginx".into(), "-e".into(), log, "-p".into(), prefix, "-c".into(), conf];
        Self::start(argv, port, folder)
    }

    /// BuildGrid, as `scripts/setup` has put it into `installed`, and the Redis in which it keeps results.
    ///
    /// # Panics
    /// One of them does not start.
    #[must_use]
    pub fn buildgrid(installed: &Path) -> (Self, Self) {
        let (below, redis) = (folder(&[]), free_port());
        let number = redis.to_string();
        let mut argv: Vec<PathBuf> = vec!["redis-server".into(), "--dir".into(), below.path().to_owned()];
        argv.extend(["--bind", "127.0.0.1", "--port", &number, "--save", ""].map(PathBuf::from));
        let results = Self::start(argv, redis, below);

        let (folder, port) = (folder(&["cas"]), free_port());
        let at = folder.path().display();
        let text = format!(
            "server:\n  - !channel\n    address: 127.0.0.1:{port}\n    insecure-mode: true\n\
             connections:\n  - !redis-connection &redis\n    host: 127.0.0.1\n    port: {redis}\n\
             instances:\n  - name: ''\n    storages:\n      - !disk-storage &cas\n        path: {at}/cas\n    \
             caches:\n      - !redis-action-cache &results\n        storage: *cas\n        redis: *redis\n        \
             allow-updates: true\n    \
             services:\n      - !action-cache\n        cache: *results\n      - !cas\n        storage: *cas\n      \
             - !bytestream\n        storage: *cas\nthread-pool-size: 20\n"
        );
        let conf = folder.path().join("conf.yml");
        fs::write(&conf, text).expect("written");
        let argv = vec![installed.join("bin/bgd"), "server".into(), "start".into(), conf];
        (Self::start(argv, port, folder), results)
    }

    fn start(argv: Vec<PathBuf>, port: u16, folder: TempDir) -> Self {
        let process = spawn(&argv, port, folder.path());
        Self { process, argv, port, folder }
    }

    /// Stops it and starts it again, with what it has kept in its folder.
    ///
    /// # Panics
    /// It does not start again.
    pub fn restart(&mut self) {
        self.stop();
        self.process = spawn(&self.argv, self.port, self.folder.path());
    }

    /// Its address.
    #[must_use]
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.port)
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder in which it keeps what it is given.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn stop(&mut self) {
        // By SIGTERM: killed, some would leave their workers behind.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A folder with these in it, which a server that becomes another user can write to.
fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in names.iter().chain(&["."]) {
        let path = folder.path().join(name);
        fs::create_dir_all(&path).expect("made");
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("changed");
    }
    folder
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|taken| taken.local_addr()).expect("a port").port()
}

fn spawn(argv: &[PathBuf], port: u16, folder: &Path) -> Child {
    let mut command = Command::new(&argv[0]);
    command
        .args(&argv[1..])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let process = command.spawn().expect("the server starts");
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "{argv:?} does not listen");
        thread::yield_now();
    }
    process
}
