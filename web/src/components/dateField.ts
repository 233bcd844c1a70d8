// SPDX-License-Identifier: Apache-2.0
import { defineAsyncComponent } from 'vue'
/** The date field with its calendar, loaded when a page shows one. */
export default defineAsyncComponent(() => import('./DateField.vue'))
