import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** The binaries of `npm run prebuild`, by folder; `npm run test:long` has made them. */
export function prebuilds(): Map<string, string[]> {
  const folder = path.join(root, 'prebuilds')
  const platforms = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  if (platforms.length === 0) throw new Error('prebuilds/ is empty: npm run prebuild')
  return new Map(platforms.map(({ name }) => [name, readdirSync(path.join(folder, name)).sort()]))
}

interface Packed {
  readonly file: string
  readonly size: number
  readonly files: readonly string[]
}

/** `npm pack` into a folder. */
export function pack(folder: string): Packed {
  const output = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: root, encoding: 'utf8' })
  const [made] = JSON.parse(output) as { filename: string; size: number; files: { path: string }[] }[]
  if (made === undefined) throw new Error('npm pack made nothing')
  return { file: path.join(folder, made.filename), size: made.size, files: made.files.map((file) => file.path) }
}

export interface Finished {
  readonly code: number | null
  readonly output: string
}

export interface Where {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
}

/** Runs a command with nothing of this process's environment: by env -i, as tap adds its loaders to every child's. */
export function execute(command: string, args: readonly string[], { cwd, env = {} }: Where): Finished {
  const variables = Object.entries({ HOME: tmpdir(), ...env }).map(([name, value]) => `${name}=${value}`)
  const result = spawnSync('/usr/bin/env', ['-i', ...variables, command, ...args], { cwd, encoding: 'utf8', timeout: 3_600_000 })
  return { code: result.status, output: `${result.stdout}${result.stderr}${result.error?.message ?? result.signal ?? ''}` }
}

/** A folder of commands that has node and npm, but neither compiler nor make nor Python. */
export function pathWithoutCompiler(folder: string): string {
  const bin = path.join(folder, 'bin')
  mkdirSync(bin)
  for (const name of ['node', 'npm', 'sh', 'env']) {
    symlinkSync(execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim(), path.join(bin, name))
  }
  return bin
}

/** The package from its tarball in an empty folder, with scripts off. */
export function installed(tarball: string, bin: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'polyadic-app-'))
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name: 'app', private: true }))
  const npm = execute('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', tarball], {
    cwd: folder,
    env: { PATH: bin, ...npmCache() }
  })
  if (npm.code !== 0) throw new Error(`npm install failed:\n${npm.output}`)
  return folder
}

// The cache and registry of whoever runs the tests; the rest of the configuration is the default.
function npmCache(): Record<string, string> {
  const get = (key: string): string => execFileSync('npm', ['config', 'get', key], { cwd: tmpdir(), encoding: 'utf8' }).trim()
  return { npm_config_cache: get('cache'), npm_config_registry: get('registry') }
}

/** Another Node, from the npm registry's packages, kept under .cache/; the reason where it cannot be had, for which a test is skipped. */
export function otherNode(major: number, arch: 'x64' | 'arm64' = 'x64'): string | Error {
  const folder = path.join(root, '.cache', 'nodes', `${arch}-${major}`)
  const file = path.join(folder, 'node_modules', `node-linux-${arch}`, 'bin', 'node')
  if (existsSync(file)) return file
  mkdirSync(folder, { recursive: true })
  writeFileSync(path.join(folder, 'package.json'), '{"private":true}')
  const args = ['install', '--silent', '--no-save', '--ignore-scripts', '--force', `node-linux-${arch}@${major}`]
  const result = spawnSync('npm', args, { cwd: folder, encoding: 'utf8' })
  if (result.status !== 0) {
    rmSync(folder, { recursive: true })
    return new Error(`Node ${major} for ${arch} cannot be had: ${result.stderr.trim().split('\n')[0] ?? ''}`)
  }
  return file
}

export const has = (command: string): boolean => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0

/** Loads the package, runs a network both ways, prints the kernels. */
export const smoke = `
const { cpu, Session, floatTensor, makeGraph, makeNode } = polyadic
const weights = floatTensor(Float32Array.from({ length: 72 * 8 }, (_, i) => Math.sin(i)), [8, 8, 3, 3])
const graph = makeGraph({
  inputs: [{ name: 'x', dtype: 'float32', dims: [1, 8, 9, 9] }],
  outputs: [{ name: 'y', dtype: 'float32', dims: [1, 8, 7, 7] }],
  initializers: new Map([['w', weights]]),
  nodes: [makeNode({ opType: 'Conv', inputs: ['x', 'w'], outputs: ['y'] })]
})
async function smoke() {
  const x = floatTensor(Float32Array.from({ length: 648 }, (_, i) => Math.cos(i)), [1, 8, 9, 9])
  const session = await Session.create(graph, { threads: 2 })
  const { y } = await session.run({ x })
  let expected = 0
  for (let c = 0; c < 8; c++) for (let i = 0; i < 3; i++) for (let j = 0; j < 3; j++) {
    expected += x.data[c * 81 + i * 9 + j] * weights.data[c * 9 + i * 3 + j]
  }
  if (!(Math.abs(y.data[0] - expected) < 1e-5)) throw new Error('wrong: ' + y.data[0] + ', expected ' + expected)
  const again = session.runSync({ x }).y.data
  if (!y.data.every((value, i) => value === again[i])) throw new Error('run and runSync differ')
  session.close()
  console.log(JSON.stringify(cpu()))
}
`
export const asModule = `import * as polyadic from 'polyadic'\n${smoke}\nawait smoke()\n`
export const asCommonJs = `const polyadic = require('polyadic')\n${smoke}\nsmoke()\n`
