// SPDX-License-Identifier: Apache-2.0
import vue from 'eslint-plugin-vue'
import ts from 'typescript-eslint'
import vueParser from 'vue-eslint-parser'

export default [
  { ignores: ['dist', 'src/components.d.ts'] },
  ...vue.configs['flat/essential'],
  {
    files: ['src/**/*.ts', 'src/**/*.vue', 'scripts/*.mjs'],
    languageOptions: { parser: vueParser, parserOptions: { parser: ts.parser, sourceType: 'module' } },
    rules: {
      'no-eval': 'error',
      'no-implied-eval': 'error',
      'no-console': ['error', { allow: ['error', 'log'] }],
      'vue/multi-word-component-names': 'off',
      'vue/no-v-html': 'error',
      eqeqeq: ['error', 'always', { null: 'ignore' }]
    }
  }
]
