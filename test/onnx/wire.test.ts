import t from 'tap'
import { WireReader } from '../../lib/onnx/wire.js'
import { MessageWriter, joinChunks } from '../../lib/onnx/wire-writer.js'
import { errorOf } from '../helpers/onnx-builder.js'

const schema = { name: 'Sample', fields: { number: 1, text: 2, list: 3, child: 4, real: 5 } }

function write(fill: (writer: MessageWriter) => void): Uint8Array {
  const writer = new MessageWriter()
  fill(writer)
  return joinChunks(writer.finish())
}

/** A reader at the first field of `bytes`. */
function firstField(bytes: Uint8Array | number[]): WireReader {
  const reader = new WireReader(Uint8Array.from(bytes), schema)
  reader.next()
  return reader
}

t.test('integers of every size survive', async (t) => {
  const values = [0n, 1n, 127n, 128n, 300n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 63n - 1n]
  for (const value of [...values, ...values.map((v) => -v), -(2n ** 63n)]) {
    const reader = firstField(write((writer) => writer.integer(1, value)))
    t.equal(reader.integer(), Number(value))
    t.equal(reader.lastInt64(), value)
    if (Number.isSafeInteger(Number(value))) {
      t.same(
        write((writer) => writer.integer(1, Number(value))),
        write((writer) => writer.integer(1, value))
      )
    }
  }
})

t.test('strings, floats and nested messages survive', async (t) => {
  const child = new MessageWriter()
  child.string(2, 'grüße \u{1f44b}')
  const reader = firstField(
    write((writer) => {
      writer.message(4, child)
      writer.float32(5, 0.5)
    })
  )
  const inner = reader.message(schema)
  t.ok(inner.next())
  t.equal(inner.string(), 'grüße \u{1f44b}')
  t.notOk(inner.next())
  t.ok(reader.next())
  t.equal(reader.float32(), 0.5)
  t.notOk(reader.next())
})

t.test('a byte order mark is part of a string', async (t) => {
  t.equal(firstField(write((writer) => writer.string(2, '\ufeffx'))).string(), '\ufeffx')
})

t.test('repeated scalars are read packed and unpacked', async (t) => {
  for (const packed of [true, false]) {
    const reader = new WireReader(
      write((writer) => writer.integers(3, [1, -1, 1000], packed)),
      schema
    )
    const values: number[] = []
    while (reader.next())
      t.equal(
        reader.elements(0, () => values.push(reader.varint())),
        packed
      )
    t.same(values, [1, -1, 1000])
  }
})

t.test('long content is kept by reference until the end', async (t) => {
  const content = new Uint8Array(10000).fill(7)
  const writer = new MessageWriter()
  writer.integer(1, 5)
  writer.bytes(2, content)
  const chunks = writer.finish()
  t.ok(chunks.includes(content))
  const reader = firstField(joinChunks(chunks))
  t.equal(reader.integer(), 5)
  reader.next()
  t.same(reader.view(), content)
})

t.test('extra fields are merged by number; a field that is written supersedes them', async (t) => {
  const extra = [9, 1, 4].map((field) => ({ field, bytes: write((writer) => writer.integer(field, field)) }))
  const writer = new MessageWriter(extra)
  writer.integer(2, 20)
  writer.integer(4, 40)
  const reader = new WireReader(joinChunks(writer.finish()), schema)
  const seen: number[][] = []
  while (reader.next()) seen.push([reader.field, reader.integer()])
  t.same(seen, [
    [1, 1],
    [2, 20],
    [4, 40],
    [9, 9]
  ])
})

t.test('broken input is a POLYADIC_FORMAT that says field and offset', async (t) => {
  const cases: [string, number[], (reader: WireReader) => unknown, RegExp][] = [
    ['varint past the end', [0x08, 0xff], (r) => r.integer(), /^Sample\.number: a varint runs past the end \(byte 2\)$/],
    [
      'varint of 11 bytes',
      [0x08, ...Array<number>(10).fill(0xff), 1],
      (r) => r.integer(),
      /^Sample\.number: a varint of more than 64 bits/
    ],
    ['varint over 64 bits', [0x08, ...Array<number>(9).fill(0x80), 2], (r) => r.integer(), /more than 64 bits/],
    ['varint that goes on', [0x08, ...Array<number>(10).fill(0x80), 0], (r) => r.integer(), /more than 10 bytes/],
    ['length past the end', [0x12, 5, 0x61], (r) => r.string(), /^Sample\.text: a length of 5 runs 4 bytes past the end \(byte 2\)$/],
    ['huge length', [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], (r) => r.view(), /runs \d+ bytes past/],
    [
      'float past the end',
      [0x2d, 0, 0],
      (r) => {
        r.expect(5)
        return r.float32()
      },
      /a value of 4 bytes runs past the end/
    ],
    ['double past the end', [0x29, 0, 0], (r) => r.raw(), /a value of 8 bytes runs past the end/],
    ['wrong wire type', [0x0a, 0], (r) => r.integer(), /^Sample\.number: expected a varint value, got a length-delimited one/],
    ['invalid UTF-8', [0x12, 2, 0xc3, 0x28], (r) => r.string(), /^Sample\.text: a string is not valid UTF-8/],
    ['packed element cut off', [0x1a, 1, 0x80, 0x01], (r) => r.elements(0, () => r.varint()), /a varint runs past the end/]
  ]
  for (const [name, bytes, read, message] of cases) {
    const error = errorOf(() => read(firstField(bytes)))
    t.equal(error.code, 'POLYADIC_FORMAT', name)
    t.match(error.message, message, name)
  }
  t.match(errorOf(() => firstField([0x00])).message, /field number 0/)
  t.match(errorOf(() => firstField([0x0b])).message, /wire type 3/)
  t.match(errorOf(() => firstField([0x0f])).message, /wire type 7/)
  t.match(errorOf(() => firstField([0xf8, 0xff, 0xff, 0xff, 0xff, 0x01])).message, /more than 32 bits/)
})

t.test('nesting has a limit', async (t) => {
  let bytes = new Uint8Array()
  for (let i = 0; i < 200; i++) bytes = new Uint8Array(write((writer) => writer.bytes(4, bytes)))
  let reader = firstField(bytes)
  t.match(
    errorOf(() => {
      for (;;) {
        reader = reader.message(schema)
        reader.next()
      }
    }).message,
    /nested more than 100 deep/
  )
})
