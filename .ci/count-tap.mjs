// Counts the assertions of TAP files (the innermost results; a file's or subtest's own line only sums them up):
//   node .ci/count-tap.mjs RESULTS.tap... [-- FAILED STEP...]
// Prints what failed, then `N passed, N failed`, where each step named on the command line (lint, say) counts as a failure.
// Fails when anything failed, bailed out, or nothing ran.
import { readFileSync } from 'node:fs'
import { Parser } from 'tap-parser'

const totals = { passed: 0, failed: 0, skipped: 0, files: 0 }

function follow(parser, trail) {
  let child
  parser.on('child', (next) => {
    child = { count: 0, failed: totals.failed }
    const own = child
    next.on('assert', () => own.count++)
    follow(next, [...trail, next.name])
  })
  parser.on('assert', (result) => {
    const closed = child
    child = undefined
    if (trail.length === 0) totals.files++
    // A result that sums up assertions is not one, unless it failed for a reason of its own: a crash, a timeout, a wrong plan.
    if (closed && closed.count > 0 && (result.ok || totals.failed > closed.failed)) return
    if (result.skip || result.todo) totals.skipped++
    else if (result.ok) totals.passed++
    else fail([...trail, result.name])
  })
  parser.on('bailout', (reason) => fail([...trail, `bail out: ${reason}`]))
}

function fail(trail) {
  totals.failed++
  console.log(`failed: ${trail.filter(Boolean).join(' › ')}`)
}

const marker = process.argv.indexOf('--')
const [files, steps] = marker < 0 ? [process.argv.slice(2), []] : [process.argv.slice(2, marker), process.argv.slice(marker + 1)]
for (const step of steps) fail([step])
for (const file of files) {
  const before = totals.failed
  const parser = new Parser((result) => {
    if (!result.ok && totals.failed === before) fail([`${file} as a whole`])
  })
  follow(parser, [])
  parser.end(readFileSync(file, 'utf8'))
}
const { passed, failed, skipped } = totals
if (passed === 0) console.log('no test ran')
if (skipped > 0) console.log(`${skipped} skipped`)
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 || passed === 0 ? 1 : 0
