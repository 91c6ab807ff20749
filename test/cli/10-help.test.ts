import { readFileSync } from 'node:fs'
import t from 'tap'
import { polyadic } from '../helpers/cli.js'

const commands = ['inspect', 'compress', 'finetune', 'run', 'bench']

t.test('--help names every command and --version the version', async (t) => {
  const help = await polyadic('--help')
  t.equal(help.code, 0)
  t.equal(help.stderr, '')
  for (const command of commands) t.match(help.stdout, new RegExp(`^  ${command} `, 'm'))
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  t.same(await polyadic('--version'), { code: 0, stdout: `${version}\n`, stderr: '' })
})

for (const command of commands) {
  t.test(`${command} --help`, async (t) => {
    const { code, stdout, stderr } = await polyadic(command, '--help')
    t.equal(code, 0)
    t.equal(stderr, '')
    t.match(stdout, `Usage: polyadic ${command} `)
    t.ok(
      stdout.split('\n').every((line) => line.length <= 130),
      'fits a terminal'
    )
  })
}

t.test('a wrong command line exits with 2, says what is wrong and where help is', async (t) => {
  const tune = ['finetune', 'a.onnx', '--data', 'd', '-o', 'b.onnx']
  const wrong: [string[], RegExp][] = [
    [[], /a command is missing/],
    [['explode'], /no command "explode"/],
    [['constructor'], /no command "constructor"/],
    [['inspect'], /MODEL.onnx is missing/],
    [['inspect', 'a.onnx', 'b.onnx'], /unexpected argument "b.onnx"/],
    [['inspect', 'a.onnx', '--verbose'], /there is no option --verbose\n/],
    [['inspect', 'a.onnx', '--shapes', '1x3'], /there is no option --shapes; did you mean --shape\?/],
    [['finetune', 'a.onnx', '--optimizer', 'adam'], /there is no option --optimizer; did you mean --optimiser\?/],
    [['finetune', 'a.onnx', '--lr=0.1'], /there is no option --lr; did you mean --learning-rate\?/],
    [['compress', 'a.onnx', '--optimizer', 'adam'], /there is no option --optimizer; polyadic finetune has --optimiser/],
    [['bench', 'a.onnx', '-q'], /there is no option -q/],
    [['bencg', 'a.onnx'], /did you mean bench\?/],
    [['finetune', 'a.onnx', '--data', 'd', '-o', 'b.txt'], /-o: .*ends in \.onnx, got "b\.txt"/],
    [['compress', 'a.onnx', '--rank', 'conv2=64', '-o', 'b'], /-o: .*ends in \.onnx, got "b"/],
    [['bench', 'a.onnx', '--shape', 'x=1x2', '--shape', 'x=1x3'], /input "x" is given twice/],
    [['compress', 'a.onnx', '-o', 'b.onnx'], /--rank is missing/],
    [['compress', 'a.onnx', '--rank', 'conv2=64'], /-o is missing/],
    [['compress', 'a.onnx', '--rank', '64', '-o', 'b.onnx'], /expected LAYER=RANK/],
    [['compress', 'a.onnx', '--rank', 'conv2=0', '-o', 'b.onnx'], /positive integer for layer "conv2", got "0"/],
    [['compress', 'a.onnx', '--rank', 'conv2=NaN', '-o', 'b.onnx'], /positive integer.*"NaN"/],
    [['compress', 'a.onnx', '--rank', 'conv2=1.5', '-o', 'b.onnx'], /positive integer.*"1.5"/],
    [['compress', 'a.onnx', '--rank', 'conv2=', '-o', 'b.onnx'], /positive integer.*""/],
    [['compress', 'a.onnx', '--rank', 'conv2=1', '--rank', 'conv2=2', '-o', 'b.onnx'], /"conv2" is given twice/],
    [['compress', 'a.onnx', '--rank', 'conv2=1', '-o', 'b.onnx', '--method', 'magic'], /--method: expected one of nls, als, greedy/],
    [['compress', 'a.onnx', '--rank', 'conv2=1', '-o', 'b.onnx', '--epochs', '3'], /--epochs needs --data/],
    [['finetune', 'a.onnx', '-o', 'b.onnx'], /--data is missing/],
    [['finetune', 'a.onnx', '--data', 'd', '-o', 'b.onnx', '--learning-rate', 'fast'], /--learning-rate: expected a number/],
    [[...tune, '--temperature', '3'], /--temperature needs --teacher/],
    [[...tune, '--resume'], /--resume needs --checkpoint/],
    [[...tune, '--plateau', '0.1'], /--plateau: expected two numbers/],
    [[...tune, '--plateau', '0.1,2', '--schedule', 'step'], /give one of them/],
    [[...tune, '--group', 'conv1'], /expected PATTERN=RATE/],
    [[...tune, '--group', 'conv1=fast'], /expected PATTERN=RATE/],
    [[...tune, '--freeze', '/(/'], /no regular expression/],
    [[...tune, '--shape', '3x0x3'], /expected CxHxW/],
    [[...tune, '--optimiser', 'adam'], /expected one of sgd, adamw/],
    [['run', 'a.onnx'], /--input is missing/],
    [['run', 'a.onnx', '--input', 'x.npy', '--top', '0'], /--top: expected an integer of at least 1/],
    [['bench'], /one or two networks/],
    [['bench', 'a.onnx', '--fail-above', '1.1'], /needs two networks/],
    [['bench', 'a.onnx', '--threads', '-1'], /--threads/]
  ]
  const runs = await Promise.all(wrong.map(([args]) => polyadic(...args)))
  wrong.forEach(([args, message], i) => {
    const run = runs[i]
    t.equal(run?.code, 2, args.join(' '))
    t.match(run?.stderr, message)
    t.match(run?.stderr, /Try `polyadic[ a-z]*--help`/)
    t.notMatch(run?.stderr, /\n\s+at /, 'no stack')
    t.equal(run?.stdout, '')
  })
})
