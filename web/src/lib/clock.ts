// SPDX-License-Identifier: Apache-2.0
// One ticking clock for every relative time and deadline on the page.
import { ref } from 'vue'
export const now = ref(Date.now())
window.setInterval(() => (now.value = Date.now()), 15000)
