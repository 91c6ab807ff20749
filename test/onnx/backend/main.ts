import { runFolders, summary } from './report.js'

// ONNX_TEST_DATA=/usr/share/libonnx-testdata/data npm run conformance -- [part of a test's name]
const folders = (process.env.ONNX_TEST_DATA ?? '').split(':').filter((folder) => folder !== '')
if (folders.length === 0) {
  console.error('ONNX_TEST_DATA: a list of folders with ONNX backend tests, separated by colons, is needed')
  process.exit(2)
}
const outcomes = await runFolders(folders, process.argv[2])
console.log(summary(outcomes))
process.exitCode = outcomes.some(({ result }) => result === 'failed') ? 1 : 0
