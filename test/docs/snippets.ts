// What README and docs/ show, taken from them as it stands there. Fences of `ts` are programs, fences of `sh` are commands; code that is neither
// is fenced as `text`.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { writeNpy } from '../../lib/formats/npy.js'
import { writeOnnx } from '../../lib/onnx/write.js'
import { floatTensor } from '../../lib/tensor.js'
import { noise, threeLayerNetwork, writeQuadrantImages, writeQuadrants } from '../helpers/networks.js'

export const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Snippet {
  /** Relative to the repository. */
  readonly file: string
  /** Of its first line of code, from 1. */
  readonly line: number
  readonly language: string
  readonly code: string
}

/** The documents of the repository's root and docs/. */
export function documents(): string[] {
  const markdown = (folder: string): string[] => readdirSync(path.join(root, folder)).filter((file) => file.endsWith('.md'))
  return [...markdown('.'), ...markdown('docs').map((file) => `docs/${file}`)]
}

export function snippetsOf(file: string): Snippet[] {
  const text = readFileSync(path.join(root, file), 'utf8')
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(({ 1: language = '', 2: code = '', index }) => ({
    file,
    line: text.slice(0, index).split('\n').length + 1,
    language,
    code
  }))
}

/** What programs may use without saying where it comes from, as TypeScript declares it and as JavaScript makes it. */
const given = {
  declarations: `
import type { ExampleSet, FloatTensor, Graph, Tensor } from 'polyadic'
declare global {
  /** Of the size that model.onnx takes. */
  const image: FloatTensor
  const train: ExampleSet
  const validation: ExampleSet
  const tensor: Tensor
  const network: Graph
}
`,
  program: `
import { floatTensor, readDataset, readOnnx } from 'polyadic'
const { train, validation } = await readDataset('data')
const set = ({ inputs, labels }) => ({ images: inputs.data, labels, count: labels.length })
Object.assign(globalThis, {
  image: floatTensor(train.inputs.data.slice(0, 64), [1, 1, 8, 8]),
  train: set(train),
  validation: set(validation),
  tensor: floatTensor(Float32Array.from({ length: 6 * 5 * 4 }, (_, i) => Math.sin(i * i)), [6, 5, 4]),
  network: await readOnnx('model.onnx')
})
`
}

/** A folder with what programs and commands take for granted: networks, data, arrays. */
export async function writeGiven(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true })
  for (const name of ['model', 'small', 'old', 'new']) await writeOnnx(threeLayerNetwork(), path.join(folder, `${name}.onnx`))
  await writeQuadrants(path.join(folder, 'data'), 160)
  for (const [seed, part] of ['train', 'validation'].entries()) await writeQuadrantImages(path.join(folder, 'photos', part), 16, seed)
  await writeNpy(path.join(folder, 'image.npy'), floatTensor(noise(64, 4), [1, 1, 8, 8]))
  await writeNpy(path.join(folder, 'tensor.npy'), floatTensor(noise(120, 5), [6, 5, 4]))
  writeFileSync(path.join(folder, 'given.mjs'), given.program)
}

/** Without its types, as Node runs it. */
export function javascript({ code }: Snippet): string {
  return ts.transpileModule(code, { compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext } }).outputText
}

/** What the compiler says about programs against the package's own declarations. `folder` is below the package. */
export function typeErrors(snippets: readonly Snippet[], folder: string): string[] {
  mkdirSync(folder, { recursive: true })
  const declarations = path.join(folder, 'given.d.ts')
  writeFileSync(declarations, given.declarations)
  const files = snippets.map((snippet) => {
    const file = path.join(folder, `${snippet.file.replace(/\W/g, '-')}-${snippet.line}.ts`)
    // `export {}`: a module, whatever it holds.
    writeFileSync(file, `${snippet.code}\nexport {}\n`)
    return file
  })
  const program = ts.createProgram([declarations, ...files], {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node']
  })
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const where =
      file && start !== undefined ? `${path.basename(file.fileName)}:${file.getLineAndCharacterOfPosition(start).line + 1} ` : ''
    return `${where}${ts.flattenDiagnosticMessageText(messageText, ' ')}`
  })
}

/** A shell snippet's commands as words; environment variables before a command, comments and prompts are left out. */
export function commands({ code }: Snippet): string[][] {
  return code
    .replace(/\\\n\s*/g, ' ')
    .split(/\n|&&/)
    .map((line) => (line.match(/'[^']*'|"[^"]*"|[^\s'"]+/g) ?? []).map((word) => word.replace(/^['"]|['"]$/g, '')))
    .map((words) => {
      const comment = words.findIndex((word) => word.startsWith('#'))
      return comment < 0 ? words : words.slice(0, comment)
    })
    .map((words) => words.slice(words.findIndex((word) => !/^\w+=/.test(word))))
    .filter((words) => words.length > 0)
}

/** Why a command that is not run here cannot be right, or `undefined`. */
export function commandProblem([command = '', ...args]: readonly string[]): string | undefined {
  const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  if (command === 'npm' && ['run', 'test'].includes(args[0] ?? '')) {
    const script = args[0] === 'run' ? args.find((arg, i) => i > 0 && !arg.startsWith('-')) : 'test'
    return script !== undefined && script in scripts ? undefined : `package.json has no script ${script}`
  }
  if (!['node', 'bash', 'sh', 'python3'].includes(command) && !(command === 'npx' && args[0] === 'tap')) return undefined
  const file = args.find((arg, i) => /[./]/.test(arg) && !arg.startsWith('-') && !/^-\w$/.test(args[i - 1] ?? ''))
  return file === undefined || file.startsWith('dist/') || existsSync(path.join(root, file)) ? undefined : `there is no ${file}`
}
