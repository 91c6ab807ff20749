// Builds the addon in a folder of its own under .cache/, beside the development build, which stays as it is: prebuilds, sanitizers,
// other processors.
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))

/** The environment in which node-gyp finds the headers of this Node without downloading them, where there are any. */
function environment(extra) {
  const headers = require('./install.cjs').findHeaders()
  return { ...process.env, ...(headers && { npm_config_nodedir: headers }), ...extra }
}

/** A folder in which the package can be compiled: links to the sources, a build/ of its own. */
export function folderOf(name) {
  const folder = path.join(root, '.cache', 'native', name)
  mkdirSync(folder, { recursive: true })
  for (const entry of ['native', 'binding.gyp', 'package.json', 'node_modules']) {
    const link = path.join(folder, entry)
    rmSync(link, { force: true })
    symlinkSync(path.join(root, entry), link)
  }
  return folder
}

export function run(command, args, { cwd = root, env = {} } = {}) {
  const result = spawnSync(command, args, { cwd, env: environment(env), stdio: 'inherit' })
  if (result.error) throw result.error
  if (result.status !== 0) throw new Error(`${path.basename(command)} ${args.join(' ')} failed (${result.signal ?? result.status})`)
}

/** Compiles what has changed and gives the addon's path. `args` go to node-gyp, `env` to the compiler and binding.gyp. */
export function compile(name, { args = [], env = {} } = {}) {
  const cwd = folderOf(name)
  const jobs = process.env.JOBS ?? String(require('node:os').availableParallelism())
  run(process.execPath, [require.resolve('node-gyp/bin/node-gyp.js'), 'configure', ...args], { cwd, env })
  run(process.execPath, [require.resolve('node-gyp/bin/node-gyp.js'), 'build', '-j', jobs, ...args], { cwd, env })
  const addon = path.join(cwd, 'build', 'Release', 'polyadic.node')
  if (!existsSync(addon)) throw new Error(`${addon} was not made`)
  return addon
}
