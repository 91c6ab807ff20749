import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { start } from '../helpers/cli.js'
import { commandProblem, commands, documents, javascript, snippetsOf, typeErrors, writeGiven } from './snippets.js'

const all = documents().flatMap(snippetsOf)
const programs = all.filter(({ language }) => language === 'ts')
const shells = all.filter(({ language }) => language === 'sh')
// Below the package's own folder, where `polyadic` is the package itself.
const folder = t.testdir({})

t.test('fences say what they hold', async (t) => {
  for (const { file, line, language } of all)
    t.ok(['ts', 'sh', 'text', 'json', 'dockerfile', 'cmake'].includes(language), `${file}:${line}`)
  t.ok(programs.length > 5 && shells.length > 5, `${programs.length} programs, ${shells.length} sets of commands`)
})

t.test('programs are well typed', async (t) => {
  t.same(typeErrors(programs, path.join(folder, 'types')), [])
})

for (const snippet of programs) {
  t.test(`${snippet.file}:${snippet.line} runs`, async (t) => {
    const place = path.join(folder, `${snippet.file.replace(/\W/g, '-')}-${snippet.line}`)
    await writeGiven(place)
    writeFileSync(path.join(place, 'snippet.mjs'), javascript(snippet))
    const { code, output } = await node(['--import', './given.mjs', 'snippet.mjs'], place)
    t.equal(code, 0, output)
    if (output !== '') t.comment(output.slice(0, 2000))
  })
}

for (const snippet of shells) {
  t.test(`${snippet.file}:${snippet.line}: commands`, async (t) => {
    const place = path.join(folder, `${snippet.file.replace(/\W/g, '-')}-${snippet.line}`)
    for (const words of commands(snippet)) {
      const line = words.join(' ')
      if (words[0] !== 'npx' || words[1] !== 'polyadic' || words[2] === 'COMMAND') {
        t.equal(commandProblem(words), undefined, line)
        continue
      }
      await writeGiven(place)
      const { code, stderr } = await start(words.slice(2), { cwd: place }).finished
      // Which of two equal networks was faster is chance.
      t.ok(code === 0 || (code === 1 && words.includes('--fail-above') && /more than the .* allowed/.test(stderr)), `${line}\n${stderr}`)
    }
  })
}

function node(args: readonly string[], cwd: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd, env: { PATH: process.env.PATH ?? '' } })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, output }))
  })
}
