import { existsSync } from 'node:fs'
import t from 'tap'
import { runFolders } from './backend/report.js'
import type { Outcome } from './backend/run.js'

/*
 * ONNX's backend tests, from the folders of ONNX_TEST_DATA or where Debian's libonnx-testdata puts them. Without either this is skipped; CI
 * installs the package and sets the variable.
 */
const debian = '/usr/share/libonnx-testdata/data'
const given = (process.env.ONNX_TEST_DATA ?? '').split(':').filter((folder) => folder !== '')
const folders = given.length > 0 ? given : [debian].filter((folder) => existsSync(folder))

/** What may be refused: tests that are random by nature, numbers that float32 does not have, data that contradicts the specification. */
const refusable = [
  /^batchnorm_\w+_training_mode$/,
  /^training_dropout/,
  /^operator_add(_broadcast|_size1_right_broadcast|_size1_singleton_broadcast|constant)$/,
  /^cast(like)?_FLOAT_to_BFLOAT16/,
  /^dft_inverse/,
  /^nonzero_example$/,
  /_bf16_expanded$/
]

/** Tests that must pass in a folder of 1.12 (Debian 12's package, 932 node tests) or later. */
const least: Readonly<Record<string, number>> = { node: 730, 'pytorch-converted': 82, 'pytorch-operator': 31, simple: 7 }
const nodeTests = 932

void t.test(
  'backend tests',
  { skip: folders.length === 0 && 'no test data: install libonnx-testdata, or set ONNX_TEST_DATA' },
  async (t) => {
    const outcomes = await runFolders(folders)
    const of = (result: Outcome['result']): Outcome[] => outcomes.filter((outcome) => outcome.result === result)
    for (const { test, reason } of of('failed')) t.fail(`${test.kind}/${test.name}: ${reason}`)
    for (const { test, reason } of of('refused')) {
      if (!refusable.some((pattern) => pattern.test(test.name))) t.fail(`${test.kind}/${test.name} was refused: ${reason}`)
    }
    const isComplete = outcomes.filter(({ test }) => test.kind === 'node').length >= nodeTests
    for (const [kind, count] of isComplete ? Object.entries(least) : []) {
      const passed = of('passed').filter(({ test }) => test.kind === kind).length
      t.ok(passed >= count, `${kind}: ${passed} passed, at least ${count} must`)
    }
    t.ok(of('passed').length > 0, `${of('passed').length} passed, ${of('out of scope').length} are out of scope`)
  }
)
