export const others = {}
