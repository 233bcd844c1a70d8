/* SPDX-License-Identifier: Apache-2.0
 * chengfang rules test PATH...: runs the NAME.test.json beside each NAME.yml through the normaliser. */
#ifndef CF_CLI_RULES_TEST_H
#define CF_CLI_RULES_TEST_H

int cf_rules_test(int argc, char **argv);

#endif
