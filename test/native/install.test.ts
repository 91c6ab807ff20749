import { execFile } from 'node:child_process'
import { copyFileSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

// The install script on machines that lack something: what it says is all that a user has to go by.
const script = fileURLToPath(new URL('../../native/install.cjs', import.meta.url))
const modules = fileURLToPath(new URL('../../node_modules', import.meta.url))

/** An unpacked package without binaries, beside a Node that has no headers. */
function bareMachine(folder: string): { node: string; install: string } {
  const home = path.join(folder, 'polyadic')
  mkdirSync(path.join(home, 'native'), { recursive: true })
  mkdirSync(path.join(folder, 'node', 'bin'), { recursive: true })
  mkdirSync(path.join(folder, 'empty'))
  copyFileSync(script, path.join(home, 'native', 'install.cjs'))
  writeFileSync(path.join(home, 'package.json'), '{ "name": "polyadic" }')
  symlinkSync(modules, path.join(home, 'node_modules'))
  const node = path.join(folder, 'node', 'bin', 'node')
  try {
    linkSync(process.execPath, node)
  } catch {
    copyFileSync(process.execPath, node)
  }
  return { node, install: path.join(home, 'native', 'install.cjs') }
}

const run = (node: string, install: string, env: NodeJS.ProcessEnv): Promise<{ code: number; output: string }> =>
  new Promise((resolve) =>
    execFile(node, [install], { env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), output: `${stdout}${stderr}` })
    )
  )

t.test('what is missing is named, and what to do about it', async (t) => {
  const folder = t.testdir({})
  const { node, install } = bareMachine(folder)
  const { code, output } = await run(node, install, { PATH: path.join(folder, 'empty') })
  t.equal(code, 1)
  t.match(output, `no prebuilt addon for ${process.platform}-${process.arch}`)
  t.match(output, /Node\.js headers: no include\/node\/node_api\.h beside this Node.*nodedir/)
  t.match(output, /a C\+\+17 compiler: "c\+\+" does not run\. Install/)
  t.match(output, /make: install/)
  t.match(output, /Python 3 .*: install python3, or set PYTHON/)
  t.notMatch(output, /node-gyp: /, 'node-gyp is there')
})

t.test('a configured nodedir counts as headers, a named compiler as the compiler', async (t) => {
  const folder = t.testdir({ headers: { include: { node: { 'node_api.h': '' } } } })
  const { node, install } = bareMachine(folder)
  const { code, output } = await run(node, install, {
    PATH: path.join(folder, 'empty'),
    npm_config_nodedir: path.join(folder, 'headers'),
    CXX: 'no-such-compiler'
  })
  t.equal(code, 1)
  t.notMatch(output, /headers/)
  t.match(output, /a C\+\+17 compiler: "no-such-compiler" does not run/)
})
