#!/usr/bin/env node
// Runs the program of this platform, which npm has installed as an optional dependency beside this package.
'use strict';

const { spawnSync } = require('node:child_process');
const { constants } = require('node:os');

const platform = `${process.platform}-${process.arch}`;
const name = `@tracerun/${platform}`;
let program;
try {
    program = require.resolve(`${name}/${process.platform === 'win32' ? 'tracerun.exe' : 'tracerun'}`);
} catch {
    console.error(
        `tracerun: the package ${name} is not installed. If there is tracerun for ${platform}, optional dependencies ` +
            'were left out: install without --omit=optional, and on this platform.',
    );
    process.exit(125);
}
// Signals that come by the terminal reach the program as well, and it decides what becomes of them.
const signals = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP'];
for (const signal of signals) {
    process.on(signal, () => {});
}
const { error, signal, status } = spawnSync(program, process.argv.slice(2), { stdio: 'inherit' });
if (error) {
    console.error(`tracerun: ${program}: ${error.message}`);
    process.exit(125);
}
if (signal) {
    for (const one of signals) {
        process.removeAllListeners(one);
    }
    process.kill(process.pid, signal);
    // Where that does not end this process, its status says what a shell would.
    process.exit(128 + constants.signals[signal]);
}
process.exit(status);
