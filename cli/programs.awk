# SPDX-License-Identifier: Apache-2.0
# Rows of C for cli/check_dislikes.c from deploy/chart/files/programs.yaml: {"PROGRAM", "REASON"},
# Each entry begins with "- images:"; "programs:" and "reason:" are one line each (tests/cli/test_doctor.py counts them).
function tell(    count, names, i) {
	gsub(/[][ ]/, "", programs)
	gsub(/"/, "\\\"", reason)
	count = split(programs, names, ",")
	for (i = 1; i <= count; i++)
		printf "{\"%s\", \"%s\"},\n", names[i], reason
	programs = reason = ""
}
/^- images:/ { tell() }
/^  programs:/ { programs = $0; sub(/^  programs: */, "", programs) }
/^  reason:/ { reason = $0; sub(/^  reason: */, "", reason) }
END { tell() }
