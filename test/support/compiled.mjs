// For `node --import`: test files come as scripts/compile-tests.mjs has compiled them.
import { register } from 'node:module';

register('./compiled-hooks.mjs', import.meta.url);
