// The client by which a Node program talks to the runner it runs under: docs/runner-protocol.md has the words.
// Synchronous by FIFOs, without an addon: a call is one write and one read. No method throws, load() never fails.
'use strict'

const fs = require('node:fs')
const path = require('node:path')

const { O_RDONLY, O_WRONLY, O_NONBLOCK } = fs.constants
const TICKET_BYTES = 16
const MOST_BYTES = 1 << 20

/** The channel of this copy of the module in this thread: undefined before the first call, null if there is none. */
let channel

function connect() {
  const address = process.env.TRACERUN_RUNNER
  if (!address || !address.startsWith('1:')) return null
  const folder = address.slice(2)
  // Not to block for ever where the runner is gone and its FIFOs are still there.
  const knock = fs.openSync(path.join(folder, 'knock'), O_WRONLY | O_NONBLOCK)
  const tickets = fs.openSync(path.join(folder, 'tickets'), O_RDONLY)
  const ticket = Buffer.alloc(TICKET_BYTES)
  try {
    fs.writeSync(knock, 'k')
    if (fs.readSync(tickets, ticket, 0, TICKET_BYTES, null) !== TICKET_BYTES) return null
  } finally {
    fs.closeSync(knock)
    fs.closeSync(tickets)
  }
  const name = path.join(folder, ticket.toString('latin1'))
  const requests = fs.openSync(name + '.in', O_WRONLY)
  const answers = fs.openSync(name + '.out', O_RDONLY)
  return { requests, answers, buffer: Buffer.alloc(1 << 16) }
}

/** The answer to a request; undefined if there is none. */
function call(request) {
  try {
    if (channel === undefined) {
      channel = null
      channel = connect()
    }
    if (channel === null) return undefined
    request.pid = process.pid
    const line = Buffer.from(JSON.stringify(request) + '\n')
    if (line.length - 1 > MOST_BYTES) return undefined
    for (let sent = 0; sent < line.length; ) sent += fs.writeSync(channel.requests, line, sent)
    return receive()
  } catch {
    // The runner is gone, or a descriptor was closed by someone who closes all: nobody is there to be told.
    channel = null
    return undefined
  }
}

function receive() {
  const pieces = []
  for (;;) {
    const count = fs.readSync(channel.answers, channel.buffer, 0, channel.buffer.length, null)
    if (count === 0) throw new Error('the runner is gone')
    const piece = channel.buffer.subarray(0, count)
    const last = piece[count - 1] === 10
    if (last && pieces.length === 0) return JSON.parse(piece.toString())
    pieces.push(Buffer.from(piece))
    if (last) return JSON.parse(Buffer.concat(pieces).toString())
  }
}

function absolute(name) {
  try {
    return path.resolve(String(name))
  } catch {
    // The working directory is gone.
    return undefined
  }
}

function tracked(options) {
  return !(options && options.tracked === false)
}

function ignoreInput(name) {
  const path = absolute(name)
  if (path !== undefined) call({ call: 'ignoreInput', path })
}

function ignoreOutput(name) {
  const path = absolute(name)
  if (path !== undefined) call({ call: 'ignoreOutput', path })
}

function disableCache() {
  call({ call: 'disableCache' })
}

function getEnv(name, options) {
  const answer = call({ call: 'getEnv', name: text(name), tracked: tracked(options) })
  return answer && typeof answer.value === 'string' ? answer.value : undefined
}

function getEnvs(query, options) {
  const request = { call: 'getEnvs', tracked: tracked(options) }
  if (query !== null && typeof query === 'object') request.prefix = text(query.prefix)
  else request.glob = text(query)
  const answer = call(request)
  return answer && answer.values ? answer.values : {}
}

/** What can't be made a string is refused by the runner. */
function text(value) {
  return typeof value === 'string' ? value : undefined
}

/** The five calls. Outside a run they do nothing and know nothing. */
function load() {
  return { ignoreInput, ignoreOutput, disableCache, getEnv, getEnvs }
}

module.exports = { load, ignoreInput, ignoreOutput, disableCache, getEnv, getEnvs }
