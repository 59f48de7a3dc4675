"""What all SARIF logs share."""

from formation.sarif import printable, sarif_file, sarif_log, sarif_result, sarif_rule


def test_a_log_has_one_run_of_the_version_that_services_read():
    log = sarif_log({"results": []})
    assert (log["version"], log["runs"]) == ("2.1.0", [{"results": []}])


def test_a_result_refers_to_its_rule_and_can_be_written_whatever_is_in_its_message():
    rule = sarif_rule("FL001", "a title", "a reason", "a fix", "error")
    result = sarif_result(rule["id"], 0, "note", "a\udcff\x1b[31m", {})
    assert (result["ruleId"], result["ruleIndex"], result["level"]) == ("FL001", 0, "note")
    assert result["message"]["text"] == "a\ufffd\ufffd[31m"


def test_the_address_of_a_file_has_its_bytes():
    assert sarif_file("a dir/\udcff%") == {"uri": "a%20dir/%FF%25"}


def test_lines_and_tabs_are_printable():
    assert printable("a\n\tb\x00\r") == "a\n\tb\ufffd\ufffd"
