import test from 'ava';
import fc from 'fast-check';
import { BytePool, CHUNK_SIZE } from '../../src/core/byte-pool.ts';
import { ByteVector } from '../../src/core/byte-vector.ts';
import { SendBuffer } from '../../src/tcp/send-buffer.ts';

test('SendBuffer: behaves like a plain queue of bytes, and holds memory only for what is in it', (t) => {
  const op = fc.oneof(
    fc.record({ add: fc.integer({ min: 0, max: 40_000 }) }),
    fc.record({ lend: fc.integer({ min: 1, max: 60_000 }), filled: fc.nat() }),
    fc.record({ drop: fc.nat() }),
    fc.record({ at: fc.nat(), len: fc.nat() }),
  );
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(op, { maxLength: 40 }), (ops) => {
        const pool = new BytePool(8 * CHUNK_SIZE);
        const buffer = new SendBuffer(pool);
        let model = Buffer.alloc(0);
        let n = 0;
        for (const o of ops) {
          if ('add' in o) {
            const bytes = Uint8Array.from({ length: o.add }, () => n++ * 7);
            const took = buffer.append(bytes, 0, o.add);
            if (took < o.add && !pool.exhausted) throw new Error('refused with memory left');
            model = Buffer.concat([model, bytes.subarray(0, took)]);
          } else if ('lend' in o) {
            const into = new ByteVector();
            if (buffer.lend(into, o.lend)) {
              if (into.len < 1 || into.len > o.lend) throw new Error('lent too little or too much');
              const bytes = Buffer.from(Uint8Array.from({ length: o.filled % (into.len + 1) }, () => n++ * 7));
              let done = 0;
              for (let i = 0, off = into.off; done < bytes.length; i++, off = 0) {
                if (i === into.count) throw new Error('lent fewer bytes than it says');
                done += bytes.copy(into.pieces[i]!, off, done);
              }
              buffer.filled(bytes.length);
              model = Buffer.concat([model, bytes]);
            } else {
              if (!pool.exhausted) throw new Error('lent nothing with memory left');
            }
          } else if ('drop' in o) {
            const k = model.length === 0 ? 0 : o.drop % (model.length + 1);
            buffer.drop(k);
            model = model.subarray(k);
          } else if (model.length > 0) {
            const at = o.at % model.length;
            const len = o.len % (model.length - at + 1);
            const out = new Uint8Array(len);
            buffer.copyOut(at, len, out, 0);
            if (Buffer.compare(out, model.subarray(at, at + len)) !== 0) throw new Error('bytes');
          }
          if (buffer.length !== model.length) throw new Error('length');
          if (pool.used > model.length + 2 * CHUNK_SIZE) throw new Error('holds more memory than it needs');
          if (model.length === 0 && pool.used !== 0) throw new Error('an empty buffer holds memory');
        }
        buffer.clear();
        if (pool.used !== 0) throw new Error('leak');
      }),
      { numRuns: 100, includeErrorInReport: true },
    ),
  );
});
