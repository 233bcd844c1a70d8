// SPDX-License-Identifier: Apache-2.0
// The left menu: only what exists, shown to those who may enter. Grouped as in the product's information architecture.
import { Aim, Avatar, Bell, Checked, Connection, DataAnalysis, DataBoard, Document, Files, Filter, FolderOpened, Grid, Histogram, List, Monitor, OfficeBuilding, Search, Tickets, Warning, Odometer, Link, PieChart, Share, Timer } from '@element-plus/icons-vue'
import type { Component } from 'vue'
export interface MenuItem { route: string; icon: Component }
export interface MenuGroup { key: string; items: MenuItem[] }
export const menu: MenuGroup[] = [
  { key: '', items: [{ route: 'overview', icon: DataBoard }, { route: 'todo', icon: Tickets }] },
  { key: 'monitor', items: [{ route: 'alerts', icon: Bell }, { route: 'incidents', icon: Warning }, { route: 'search', icon: Search }] },
  { key: 'intel', items: [{ route: 'indicators', icon: Aim }, { route: 'intel-review', icon: Checked }, { route: 'intel-hunts', icon: Timer }, { route: 'intel-objects', icon: Avatar }, { route: 'intel-sources', icon: Link }, { route: 'intel-feeds', icon: Share }, { route: 'intel-collections', icon: FolderOpened }, { route: 'intel-stats', icon: PieChart }] },
  { key: 'notice', items: [{ route: 'notices', icon: Document }, { route: 'ledger', icon: Histogram }] },
  { key: 'asset', items: [{ route: 'assets', icon: Monitor }] },
  { key: 'content', items: [{ route: 'rules', icon: List }, { route: 'coverage', icon: Grid }, { route: 'exceptions', icon: Filter }, { route: 'sources', icon: Connection }, { route: 'quality', icon: Odometer }] },
  { key: 'system', items: [{ route: 'directory', icon: OfficeBuilding }, { route: 'health', icon: DataAnalysis }, { route: 'audit', icon: Files }] }
]
