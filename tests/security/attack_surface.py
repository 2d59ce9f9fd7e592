"""The attacks on a document sharing node that are known, and the tests that try them.

A key is section and row of the checklist: 2 SOAP and HTTP, 3 registry and queries, 4 storage and files, 5 DICOM and
images, 6 tokens, keys and TLS. `DEPLOYMENT` are those that take more than this program; SECURITY.md says so.
"""

ROWS = {2: 22, 3: 17, 4: 8, 5: 14, 6: 8}

WIRE, SECURITY, RULES = "tests/wire/test_", "tests/security/test_", "tests/rules/test_"
CASE = "tests/conformance/"

ATTACKS: dict[str, tuple[str, ...]] = {
    # Entities and document types; UTF-16 too
    "2.1": (f"{WIRE}xml.py::test_refuses", f"{CASE}0007-document-type-declaration", f"{CASE}0021-utf-16"),
    # Depth, attributes, names
    "2.2": (f"{WIRE}xml.py::test_refuses_before_anything_is_made_of_it", f"{CASE}0019-unreasonable-structure"),
    # XInclude, processing instructions
    "2.3": (f"{WIRE}xml.py::test_does_not_run_xinclude", f"{CASE}0022-processing-instruction"),
    # Transforms in signatures
    "2.4": (f"{WIRE}xmldsig.py::test_attack",),
    # Signature wrapping, twin ids, comments
    "2.5": (
        f"{WIRE}saml.py::test_wrapping",
        f"{WIRE}saml.py::test_comment_truncation",
        f"{WIRE}xmldsig.py::test_attack",
    ),
    # References to files and addresses
    "2.6": (f"{WIRE}xmldsig.py::test_attack", f"{WIRE}signature_document.py::test_references"),
    # XOP includes of something else
    "2.7": (f"{WIRE}mtom.py::test_refuses_includes", f"{CASE}0312-include-from-elsewhere"),
    # Twin Content-IDs, a start that is none
    "2.8": (f"{WIRE}multipart.py::test_refuses", f"{CASE}0313-ambiguous-parts"),
    # Limits of multipart
    "2.9": (f"{WIRE}multipart.py::test_has_limits_by_default", f"{CASE}0310-truncated-multipart"),
    # Content-Transfer-Encoding
    "2.10": (f"{WIRE}multipart.py::test_decodes_base64_in_any_pieces", f"{WIRE}multipart.py::test_refuses"),
    # Compressed requests
    "2.11": (f"{CASE}0010-content-encoding",),
    # Slow senders
    "2.12": (
        "tests/transport/test_serving.py::test_a_sender_below_the_minimum_rate_is_cut",
        "tests/transport/test_serving.py::test_a_sender_who_falls_silent_is_cut",
        f"{SECURITY}connections.py::test_slow_senders_leave_threads_for_others",
    ),
    # Action and body disagree
    "2.13": (f"{CASE}0012-action-and-body-disagree",),
    # Replies to elsewhere
    "2.14": (f"{CASE}0006-reply-to-elsewhere",),
    # Addresses of subscribers: none is served
    "2.15": (f"{SECURITY}attack_surface.py::test_nobody_is_called_at_an_address_from_a_message",),
    # Replay of a message
    "2.16": (f"{CASE}0024-message-repeated",),
    # Headers that must be understood
    "2.17": (f"{CASE}0005-header-not-understood",),
    # What faults tell
    "2.18": (f"{SECURITY}what_errors_tell.py::test_errors_do_not_describe_what_is_registered",),
    # Header lines from a message
    "2.19": (f"{WIRE}mtom.py::test_nothing_ends_a_header_line", f"{WIRE}soap.py::test_any_text_survives_the_header"),
    # Markup in our answers
    "2.20": (f"{WIRE}xml.py::test_whatever_is_escaped_comes_back_legal",),
    # Request smuggling
    "2.21": (
        f"{SECURITY}requests.py::test_a_request_with_two_lengths_is_no_request",
        f"{SECURITY}behind_nginx.py::test_a_request_with_two_lengths_brings_no_other_in",
    ),
    # A forged certificate header
    "2.22": (
        "tests/transport/test_peers.py::test_nobody_else_is_believed",
        "tests/transport/test_peers.py::test_without_a_proxy_the_header_means_nothing",
        f"{SECURITY}behind_nginx.py::test_a_certificate_in_a_header_of_ones_own_counts_for_nothing",
    ),
    # Many and long values
    "3.1": (f"{CASE}0423-too-many-values", f"{CASE}0231-too-long"),
    # Wildcards
    "3.2": (f"{CASE}0437-pattern-signs", f"{CASE}0406-by-author"),
    # Quotes
    "3.3": (f"{CASE}0426-bad-coding", f"{RULES}stored_query.py::test_any_text_is_read_or_refused"),
    # Lists that multiply
    "3.4": (f"{CASE}0423-too-many-values", f"{RULES}stored_query.py::test_hostile_values_are_refused_quickly"),
    # Floods of results
    "3.5": (
        "tests/transactions/test_iti18_registry_stored_query.py::test_more_than_an_answer_may_hold",
        "tests/transactions/test_iti18_visibility.py::test_evidence_that_is_too_much_refuses_the_query",
    ),
    # Circles
    "3.6": ("tests/transactions/test_iti18_visibility.py::test_associations_in_a_circle_are_hidden",),
    # Regular expressions
    "3.7": (f"{SECURITY}requests.py::test_no_pattern_takes_long",),
    # Identifiers
    "3.8": (f"{RULES}formats.py::test_not_well_formed",),
    # Unicode
    "3.9": (f"{RULES}formats.py::test_not_well_formed", f"{RULES}formats.py::test_any_text_is_judged"),
    # Another patient's documents
    "3.10": (
        f"{CASE}0211-related-across-patients",
        "tests/app/test_update_access.py::test_records_are_not_joined_by_an_update",
    ),
    # Symbolic ids
    "3.11": (f"{CASE}0102-symbolic-ids", f"{CASE}0212-unknown-reference", f"{CASE}0218-uuid-taken"),
    # Guessing patients; how often a node may ask is not limited
    "3.12": (f"{CASE}0430-unknown-patient",),
    # What refusals tell of what exists
    "3.13": (
        "tests/app/test_query_visibility.py",
        "tests/app/test_update_access.py::test_what_is_hidden_answers_as_what_is_not_there",
        "tests/transport/test_rest.py::test_refused_and_missing_look_alike",
    ),
    # Another community
    "3.14": (f"{CASE}0433-home", f"{CASE}0506-home-community"),
    # Hash and size
    "3.15": (f"{CASE}0314-hash-or-size-wrong", f"{CASE}0319-other-bytes"),
    # Markup in titles
    "3.16": ("tests/web/test_operations.py::test_the_first_page_names_the_services",),
    # Lines in logs
    "3.17": (
        f"{WIRE}syslog.py::test_fields_are_kept_printable_and_short",
        "tests/transport/test_tls.py::test_a_subject_is_one_line",
    ),
    # Paths
    "4.1": ("tests/storage/test_documents.py::test_a_unique_id_is_never_part_of_a_path",),
    # Overwriting
    "4.2": ("tests/storage/test_documents.py::test_other_bytes_under_a_published_name_are_refused",),
    # Media types that lie
    "4.3": (f"{SECURITY}attack_surface.py::test_browsers_are_told_not_to_guess",),
    # Archives: none is opened
    "4.4": (f"{SECURITY}attack_surface.py::test_no_archive_is_opened",),
    # A full disk
    "4.5": ("tests/storage/test_documents.py::test_a_nearly_full_disk_is_unavailable",),
    # Documents with malware: kept and given out as they are, and nothing here runs or interprets them
    "4.6": (f"{SECURITY}files.py::test_no_document_can_be_run",),
    # Temporary files
    "4.7": (
        "tests/storage/test_spool.py::test_files_are_private",
        "tests/storage/test_spool.py::test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_else",
    ),
    # Secrets
    "4.8": (f"{SECURITY}files.py::test_what_a_command_writes_others_cannot_read",),
    # Deep sequences
    "5.1": (f"{WIRE}dicom_reader.py::test_depth_has_a_limit", f"{WIRE}kos.py::test_deep_nesting_is_refused"),
    # Deflated data sets
    "5.2": (f"{WIRE}dicom_reader.py::test_a_deflated_data_set_is_inflated_only_so_far",),
    # Lengths that do not add up
    "5.3": (f"{WIRE}dicom_reader.py::test_what_does_not_add_up_is_malformed",),
    # Manifests without end
    "5.4": (f"{WIRE}kos.py::test_instances_have_a_limit", f"{WIRE}kos.py::test_size_has_a_limit"),
    # Frames that grow
    "5.5": (
        f"{SECURITY}images.py::test_transcoding_ends_after_its_time",
        "tests/transactions/test_rad107_wado_rs_retrieve.py::test_pictures_of_everything_take_their_time_and_no_more",
    ),
    # DICOMDIR
    "5.6": ("tests/storage/test_folder_pacs.py",),
    # UIDs as file names
    "5.7": (
        "tests/storage/test_documents.py::test_a_unique_id_is_never_part_of_a_path",
        f"{WIRE}dicom_text.py::test_uids",
    ),
    # Associations of strangers
    "5.8": (
        "tests/transport/test_move_scp.py::test_who_is_not_known_or_sends_elsewhere_is_refused",
        "tests/transport/test_move_scp.py::test_who_does_not_get_through_the_handshake_gets_no_association_and_is_audited",
    ),
    # Programs in the preamble
    "5.9": (
        f"{SECURITY}images.py::test_a_program_in_the_preamble_is_an_image_and_nothing_else",
        f"{WIRE}transcode.py::test_the_preamble_of_another_file_is_not_passed_on",
    ),
    # Character sets
    "5.10": (f"{WIRE}dicom_text.py::test_any_bytes_are_text",),
    # Addresses in manifests
    "5.11": (f"{SECURITY}attack_surface.py::test_nobody_is_called_at_an_address_from_a_message",),
    # Images that no visible manifest lists
    "5.12": (
        "tests/transactions/test_rad69_retrieve_imaging_document_set.py"
        "::test_a_study_without_a_published_manifest_is_not_given_out",
        "tests/transactions/test_rad69_retrieve_imaging_document_set.py::test_a_manifest_of_another_patient_opens_nothing",
    ),
    # Accept and transfer syntaxes
    "5.13": (
        "tests/transactions/test_rad107_wado_rs_retrieve.py::test_an_unacceptable_form_tells_nothing_of_what_is_there",
    ),
    # Sizes of answers
    "5.14": ("tests/app/test_limits.py::test_images_of_one_retrieval",),
    # Stolen assertions
    "6.1": (
        f"{WIRE}saml.py::test_issuer_bound_to_nodes",
        f"{WIRE}saml.py::test_holder_of_key",
        "tests/test_exchange.py::test_an_assertion_that_was_used_before",
        "tests/storage/test_replays.py::test_other_processes_remember_too",
    ),
    # Tricks with JWT
    "6.2": (
        f"{WIRE}jwt_token.py::test_no_signature_is_no_token",
        f"{WIRE}jwt_token.py::test_a_public_key_is_no_secret",
        f"{WIRE}jwt_token.py::test_keys_come_from_the_settings_only",
    ),
    # Huge tokens
    "6.3": (f"{WIRE}jwt_token.py::test_a_large_token_is_not_read", f"{WIRE}xmldsig.py::test_size_is_limited"),
    # Lists at addresses of certificates
    "6.4": (f"{SECURITY}attack_surface.py::test_nobody_is_called_at_an_address_from_a_message",),
    # Secrets that are compared in a time that tells of them
    "6.5": (f"{SECURITY}attack_surface.py::test_no_secret_is_compared_here",),
    # Weak TLS
    "6.6": (
        "tests/transport/test_tls.py::test_versions_and_suites",
        "tests/transport/test_tls.py::test_who_is_revoked_while_the_server_runs_gets_in_no_more",
        f"{SECURITY}connections.py::test_who_is_revoked_is_refused_by_the_server_that_runs",
    ),
    # Node and person
    "6.7": (
        "tests/test_exchange.py::test_a_node_is_no_person",
        "tests/test_exchange.py::test_another_node_may_not_publish_whatever_it_brings",
    ),
    # Who may administer
    "6.8": ("tests/app/test_paths.py::test_every_page_is_open_on_purpose",),
}

DEPLOYMENT = {
    "4.6": "documents are not scanned for malware",
    "5.9": "the preamble of DICOM files that are given out unchanged is as it is kept",
}
"""What those who run a node have to do beside it; the tests of these rows are of what is done here."""
