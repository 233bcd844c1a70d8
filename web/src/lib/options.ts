// SPDX-License-Identifier: Apache-2.0
import { codeText } from '@/i18n'
const of = (prefix: string, codes: string[]) => codes.map((value) => ({ value, label: codeText(prefix, value) }))
export const levels = () => of('level', ['critical', 'high', 'medium', 'low', 'informational'])
export const alertStatuses = () => of('alertStatus', ['new', 'handling', 'confirmed', 'converted', 'false_positive', 'ignored', 'closed'])
export const incidentStatuses = () => of('incidentStatus', ['open', 'investigating', 'contained', 'closed', 'merged'])
export const exceptionStates = () => of('exceptionState', ['active', 'paused', 'expired'])
export const openAlerts = 'new|handling|confirmed'
export const openIncidents = 'open|investigating|contained'
