// Counts the assertions of a TAP stream (the innermost results; a file's or subtest's own line only sums them up):
//   node .ci/count-tap.mjs [FAILED STEP...] < results.tap
// Prints what failed, then `N passed, N failed`, where each step named on the command line (lint, say) counts as a failure.
// Fails when anything failed, bailed out, or nothing ran.
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

const parser = new Parser((result) => {
  const { passed, skipped } = totals
  if (!result.ok && totals.failed === 0) fail(['the test run as a whole'])
  if (passed === 0) console.log('no test ran')
  console.log(`${passed} passed, ${totals.failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exitCode = totals.failed > 0 || passed === 0 ? 1 : 0
})
for (const step of process.argv.slice(2)) fail([step])
follow(parser, [])
process.stdin.pipe(parser)
