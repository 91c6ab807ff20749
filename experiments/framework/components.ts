// What figures depend on: groups of sources and data, each with one hash, so that a stale cache can say what has changed.

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { root } from '../../examples/charnet/paths.js'

/**
 * Files and folders by the name of what they do, relative to the root of the clone; `!`: not these of them. Training plans are direct, in float32, take the stages
 * of a CP block one by one, and have none of the operators that only run forward; experiments replace a layer also where that makes it slower.
 */
const components = {
  'character data': [
    ...['atlas', 'dataset', 'font-list', 'random', 'render'].map((name) => `examples/charnet/${name}.ts`),
    'examples/charnet/glyphs.bin'
  ],
  'dense CharNet': ['examples/charnet/architecture.ts', 'examples/charnet/charnet.onnx'],
  decomposition: ['lib/decomposition', 'lib/replacement', '!lib/replacement/latency.ts', 'native/solver'],
  training: [
    ...['lib/training', 'lib/operators', 'native/plan', 'native/ops', 'native/kernels'],
    ...[
      'bf16',
      'cp_block.cpp',
      'cp_stages.cpp',
      'cp_stages.h',
      'dense',
      'winograd.cpp',
      'winograd.h',
      'winograd_weights.cpp',
      'winograd_weights.h'
    ].map((name) => `!native/ops/${name}`),
    ...[
      'bf16_amx.cpp',
      'bf16_avx512.cpp',
      'bf16_avx512_body.h',
      'bf16_kernels.h',
      'bf16_scalar.cpp',
      'winograd_body.h',
      'winograd_kernels.h'
    ].map((name) => `!native/kernels/${name}`)
  ],
  inference: ['lib/runtime', 'lib/operators', 'native/plan', 'native/ops', 'native/kernels', 'native/core'],
  'peer runtimes': ['bench/onnxruntime.ts', 'bench/pytorch', 'bench/openvino', 'bench/line-process.ts'],
  files: ['lib/onnx'],
  networks: ['bench/networks.ts', 'bench/graphs.ts']
} as const satisfies Readonly<Record<string, readonly string[]>>

export type Component = keyof typeof components

/** Hash by what it is of. */
export type Hashes = Readonly<Record<string, string>>

/**
 * The present hashes of an experiment: of its components, and of its compute.ts with all that this imports of the experiments. Which cells
 * there are and what is said of them does not change a cell, whose configuration is compared besides.
 */
export function currentHashes(name: string, used: readonly Component[]): Hashes {
  const own = ownSources(path.join(root, 'experiments', name, 'compute.ts'))
  const entries = used.map((component) => [component, hashOf(filesOf(components[component]))])
  return Object.fromEntries([['experiment', hashOf(own)], ...entries]) as Hashes
}

/** What differs between the hashes of a cell and the present ones, by name. */
export function changes(then: Hashes, now: Hashes): string[] {
  return [...new Set([...Object.keys(then), ...Object.keys(now)])].filter((name) => then[name] !== now[name])
}

const hashed = new Map<string, string>()

function hashOf(files: readonly string[]): string {
  const sum = createHash('sha256')
  for (const file of [...files].sort()) {
    let own = hashed.get(file)
    if (own === undefined) hashed.set(file, (own = createHash('sha256').update(contentOf(file)).digest('hex')))
    sum.update(`${path.relative(root, file)} ${own}\n`)
  }
  return sum.digest('hex').slice(0, 16)
}

const isSource = (file: string): boolean => /\.(ts|h|cpp|py)$/.test(file)

// Comments on lines of their own and layout change no figure.
function contentOf(file: string): string | Buffer {
  const content = readFileSync(file)
  return isSource(file)
    ? content
        .toString()
        .replace(/^\s*\/\*[\s\S]*?\*\//gm, '')
        .replace(/^\s*(\/\/|# ).*$/gm, '')
        .replace(/\s+/g, '')
    : content
}

function filesOf(entries: readonly string[]): string[] {
  const named = (isLeftOut: boolean): string[] =>
    entries
      .filter((entry) => entry.startsWith('!') === isLeftOut)
      .flatMap((entry) => filesIn(path.join(root, isLeftOut ? entry.slice(1) : entry)))
  const leftOut = new Set(named(true))
  return named(false).filter((file) => !leftOut.has(file))
}

function filesIn(entry: string): string[] {
  if (!statSync(entry).isDirectory()) return [entry]
  return readdirSync(entry, { recursive: true, withFileTypes: true })
    .filter((found) => found.isFile() && isSource(found.name))
    .map((found) => path.join(found.parentPath, found.name))
}

/** A source and those of the experiments that it imports; the framework computes no figures. */
function ownSources(file: string, seen = new Set<string>()): string[] {
  if (seen.has(file) || !existsSync(file)) return []
  seen.add(file)
  const imported = [...readFileSync(file, 'utf8').matchAll(/ from '(\.[^']+)\.js'/g)].map((match) =>
    path.join(path.dirname(file), `${match[1]}.ts`)
  )
  const folder = path.join(root, 'experiments')
  const own = imported.filter((one) => one.startsWith(folder) && !one.startsWith(path.join(folder, 'framework')))
  return [file, ...own.flatMap((one) => ownSources(one, seen))]
}
