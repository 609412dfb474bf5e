"""Who may do what: each route of the API, each page and each read and change of the console, with the role that it needs.

Kept by hand, and the only list of it. `tests/unit/test_roles.py` fails when the code has something that is not in it, or asks
for another role; `tests/integration/test_api_roles.py` asks the running API.
A role includes those before it: viewer, organiser, operator, admin. `whole` is for accounts that no branch binds,
`confirmed` asks for the password again, `or-token` exempts API tokens.
"""

from typing import Final


def _table(text: str) -> dict[str, str]:
    """What is asked, and the role before it in its line."""
    rows = [line.split(maxsplit=1) for line in text.strip().splitlines()]
    table = {what: role for role, what in rows}
    assert len(table) == len(rows), "a line stands twice"
    return table


API: Final = _table("""
viewer                    GET /api/v1/organisations
admin                     POST /api/v1/organisations
viewer                    GET /api/v1/organisations/{organisation_id}
admin                     PUT /api/v1/organisations/{organisation_id}
admin                     DELETE /api/v1/organisations/{organisation_id}
viewer                    GET /api/v1/rooms
operator                  POST /api/v1/rooms
viewer                    GET /api/v1/rooms/{room_id}
operator                  PUT /api/v1/rooms/{room_id}
operator                  DELETE /api/v1/rooms/{room_id}
viewer                    GET /api/v1/members
organiser                 POST /api/v1/members
organiser                 POST /api/v1/members/import
organiser                 GET /api/v1/members/export
viewer                    GET /api/v1/members/{member_id}
organiser                 PUT /api/v1/members/{member_id}
admin                     DELETE /api/v1/members/{member_id}
viewer                    GET /api/v1/credentials
organiser                 POST /api/v1/credentials
organiser                 GET /api/v1/credentials/cards
viewer                    GET /api/v1/credentials/{credential_id}
organiser                 POST /api/v1/credentials/{credential_id}/revocation
organiser                 GET /api/v1/credentials/{credential_id}/card.png
organiser                 GET /api/v1/credentials/{credential_id}/card.svg
viewer                    GET /api/v1/issuer-keys
admin-whole               POST /api/v1/issuer-keys
admin-whole               POST /api/v1/issuer-keys/{key_id}/signing
admin-whole               DELETE /api/v1/issuer-keys/{key_id}
viewer                    GET /api/v1/activities
organiser                 POST /api/v1/activities
viewer                    GET /api/v1/activities/{activity_id}
organiser                 PUT /api/v1/activities/{activity_id}
organiser                 DELETE /api/v1/activities/{activity_id}
viewer                    GET /api/v1/occurrences
viewer                    GET /api/v1/occurrences/{activity_id}/{start}
organiser                 DELETE /api/v1/occurrences/{activity_id}/{start}
viewer                    GET /api/v1/attendance
organiser                 GET /api/v1/attendance/export
viewer                    GET /api/v1/corrections
organiser                 POST /api/v1/corrections
viewer                    GET /api/v1/check-ins
viewer                    GET /api/v1/streams
viewer                    GET /api/v1/reconciliation
viewer                    GET /api/v1/quarantine
viewer                    GET /api/v1/quarantine/{held_id}
operator                  POST /api/v1/quarantine/{held_id}/replay
operator                  POST /api/v1/quarantine/{held_id}/discard
viewer                    GET /api/v1/terminals
admin                     POST /api/v1/terminals/import
operator                  GET /api/v1/terminals/export
admin                     POST /api/v1/terminals
viewer                    GET /api/v1/terminals/{terminal_id}
operator                  PUT /api/v1/terminals/{terminal_id}
operator                  PUT /api/v1/terminals/{terminal_id}/staff-pin
operator                  POST /api/v1/terminals/{terminal_id}/marks/seen
admin-confirmed-or-token  POST /api/v1/terminals/{terminal_id}/password
admin-confirmed-or-token  POST /api/v1/terminals/{terminal_id}/disable
admin                     POST /api/v1/terminals/{terminal_id}/enable
viewer                    GET /api/v1/terminals/{terminal_id}/settings
operator                  GET /api/v1/terminals/{terminal_id}/twin
admin                     POST /api/v1/terminals/{terminal_id}/replace
viewer                    GET /api/v1/saved-views
viewer                    POST /api/v1/saved-views
viewer                    PUT /api/v1/saved-views/{view_id}
viewer                    DELETE /api/v1/saved-views/{view_id}
viewer                    GET /api/v1/templates
operator                  POST /api/v1/templates
viewer                    GET /api/v1/templates/{template_id}
operator                  PUT /api/v1/templates/{template_id}
operator                  DELETE /api/v1/templates/{template_id}
viewer                    GET /api/v1/terminals/{terminal_id}/timeline
viewer                    GET /api/v1/terminals/{terminal_id}/readings
terminal                  GET /api/v1/terminals/{terminal_id}/files/{sha256}
operator                  POST /api/v1/terminals/{terminal_id}/commands
operator                  POST /api/v1/command-bulks
viewer                    GET /api/v1/command-bulks/{bulk}
viewer                    GET /api/v1/command-bulks
operator                  POST /api/v1/command-bulks/{bulk}/cancel
viewer                    GET /api/v1/commands
viewer                    GET /api/v1/commands/{command_id}
operator                  POST /api/v1/commands/{command_id}/cancel
viewer                    GET /api/v1/alarms
viewer                    GET /api/v1/alarms/{alarm_id}
viewer                    GET /api/v1/alarms/{alarm_id}/members
operator                  POST /api/v1/alarms/{alarm_id}/acknowledgement
operator                  POST /api/v1/alarms/{alarm_id}/comments
operator                  POST /api/v1/alarms/{alarm_id}/snooze
viewer                    GET /api/v1/alarm-metrics
viewer                    GET /api/v1/alarm-rules
operator                  POST /api/v1/alarm-rules
operator                  POST /api/v1/alarm-rules/preview
viewer                    GET /api/v1/alarm-rules/{rule_id}
operator                  PUT /api/v1/alarm-rules/{rule_id}
operator                  DELETE /api/v1/alarm-rules/{rule_id}
viewer                    GET /api/v1/maintenance-windows
operator                  POST /api/v1/maintenance-windows
operator                  DELETE /api/v1/maintenance-windows/{window_id}
operator                  GET /api/v1/receivers
operator                  POST /api/v1/receivers
operator                  GET /api/v1/receivers/{receiver_id}
operator                  PUT /api/v1/receivers/{receiver_id}
operator                  DELETE /api/v1/receivers/{receiver_id}
operator                  POST /api/v1/receivers/{receiver_id}/secret
operator                  POST /api/v1/receivers/{receiver_id}/test
operator                  GET /api/v1/notifications
operator                  POST /api/v1/notifications/{notification_id}/resend
terminal                  PUT /api/v1/terminals/{terminal_id}/uploads/{command_id}
operator                  GET /api/v1/terminals/{terminal_id}/uploads
operator                  GET /api/v1/terminals/{terminal_id}/uploads/{command_id}
operator                  POST /api/v1/terminals/{terminal_id}/claim-code
admin-confirmed-or-token  POST /api/v1/terminals/{terminal_id}/revoke
viewer                    GET /api/v1/terminals/{terminal_id}/certificates
open                      POST /api/v1/enrolment/claims/owner
open                      POST /api/v1/enrolment/claims
open                      POST /api/v1/enrolment/renewals
open                      POST /api/v1/session
viewer                    GET /api/v1/session
viewer                    DELETE /api/v1/session
viewer                    POST /api/v1/session/confirmation
viewer                    GET /api/v1/sessions
viewer                    DELETE /api/v1/sessions/{session_id}
admin                     GET /api/v1/accounts
admin-confirmed-or-token  POST /api/v1/accounts
admin-confirmed-or-token  PATCH /api/v1/accounts/{account_id}
viewer                    GET /api/v1/tokens
viewer-confirmed-or-token POST /api/v1/tokens
viewer                    DELETE /api/v1/tokens/{token_id}
admin-whole               GET /api/v1/audit
open                      GET /healthz
open                      GET /readyz
viewer-whole              GET /metrics
open                      GET /api/v1/docs
""")
"""Method and path. `open` is for everybody, `terminal` for the terminal that it is about."""

PAGES: Final = _table("""
admin     /accounts
viewer    /sessions
viewer    /tokens
viewer    /activities/{activity_id}/{start}
viewer    /activities
admin-whole /audit
viewer    /search
viewer    /alarms
viewer    /alarms/{alarm_id}
viewer    /alarm-rules
viewer    /maintenance-windows
operator  /receivers
organiser /members/import
viewer    /members/{member_id}
viewer    /members
viewer    /organisations
viewer    /
viewer    /quarantine
viewer    /quarantine/{held_id}
viewer    /rooms
viewer    /templates
admin     /terminals/import
viewer    /commands
viewer    /commands/{bulk_id}
viewer    /terminals
viewer    /terminals/map
viewer    /terminals/{terminal_id}
viewer    /terminals/{terminal_id}/timeline
""")
"""The console's pages: what may be seen at all."""

ACTIONS: Final = _table("""
admin            accounts/page.py register.listing writable
admin            accounts/page.py _Accounts._draw read
admin-confirmed  accounts/page.py _Accounts._add.add write
admin-confirmed  accounts/page.py _Accounts._edit.edit write
admin-confirmed  accounts/page.py _Accounts._password.renew write
viewer           accounts/session_page.py _Sessions._draw read
viewer           accounts/session_page.py _Sessions._end.end write
viewer           accounts/token_page.py _Tokens._draw read
viewer-confirmed accounts/token_page.py _Tokens._add.add write
viewer           accounts/token_page.py _Tokens._revoke.revoke write
organiser        activities/activity_dialogs.py edit.save write
viewer           activities/activity_dialogs.py edit.save read
organiser        activities/activity_dialogs.py cancel.end write
viewer           activities/activity_form.py activity_fields read
viewer           activities/occurrence_page.py _Occurrence._read read
viewer           activities/occurrence_page.py _Occurrence._correct.correct read
organiser        activities/occurrence_page.py _Occurrence._correct.correct write
viewer           activities/page.py register.listing read
viewer           activities/page.py register.listing.news read
organiser        activities/page.py _add.add write
viewer           activities/page.py _add.add read
operator         alarms/alarm_page.py _Page._acknowledge write
operator         alarms/alarm_page.py _Page._comment write
viewer           alarms/alarm_page.py _Page._draw read
operator         alarms/alarm_page.py _Page._snooze write
viewer           alarms/page.py register.listing.draw read
operator         alarms/rule_form.py _confirm.save write
viewer           alarms/rule_form.py ask read
operator         alarms/rule_form.py ask.look read
operator         alarms/rule_page.py _Rules._delete.delete write
viewer           alarms/rule_page.py _Rules._draw read
operator         alarms/rule_page.py _Rules._switch write
viewer           alarms/window_page.py _Windows._draw read
operator         alarms/window_page.py _Windows._end.end write
viewer           alarms/window_page.py _add read
operator         alarms/window_page.py _add.add write
admin-whole      audit/page.py register.listing writable
operator         notifications/page.py register.listing writable
operator         notifications/page.py _Receivers._draw read
operator         notifications/page.py _Receivers._resend write
operator         notifications/page.py _Receivers._delete.delete write
operator         notifications/page.py _Receivers._renew.renew write
operator         notifications/page.py _Receivers._test write
operator         notifications/receiver_form.py ask read
operator         notifications/receiver_form.py keep write
admin            audit/page.py register.listing read
operator         certificates/page.py _show_code write
admin-confirmed  certificates/page.py _shut_out.shut write
viewer           commands/bulk_page.py _Listing._draw read
viewer           commands/bulk_page.py _Bulk._draw read
operator         commands/bulk_page.py _cancel.go write
viewer           commands/bulk_ask.py choose read
viewer           commands/bulk_ask.py choose.pick read
operator         commands/bulk_ask.py choose.then.send write
operator         commands/page.py act_on write
operator         commands/page.py _ask write
viewer           console/search_page.py register.search read
organiser        members/import_page.py register.import_members writable
viewer           members/import_page.py _Import.show read
viewer           members/import_page.py _Import.checked read
organiser        members/import_page.py _Import.written write
viewer           members/member_form.py member_fields read
viewer           members/member_page.py _Detail._draw read
organiser        members/member_page.py _Detail._edit.edit write
organiser        members/member_page.py _Detail._issue write
organiser        members/member_page.py _Detail._revoke.revoke write
admin            members/member_page.py _Detail._erase.erase write
viewer           members/page.py register.listing.show read
organiser        members/page.py _add.add write
viewer           organisations/page.py _Tree._draw read
admin            organisations/page.py _Tree._add.add write
admin            organisations/page.py _Tree._edit.edit write
viewer           quarantine/page.py register.listing.draw read
viewer           quarantine/page.py _Detail._read read
operator         quarantine/page.py _Detail._act write
operator         quarantine/page.py _Detail._discard.discard write
viewer           readings/page.py measured read
viewer           readings/page.py HealthPanel.draw read
viewer           rooms/page.py register.listing.show read
viewer           rooms/page.py _ask read
operator         rooms/page.py _ask.save write
viewer           rooms/page.py _act read
viewer           templates/page.py register.listing read
viewer           templates/page.py _Acts._add read
operator         templates/page.py _Acts._add.add write
operator         templates/page.py _Acts._edit.save write
operator         templates/page.py _Acts._away.take_away write
admin            terminals/import_page.py register.import_terminals writable
viewer           terminals/import_page.py _Import.checked read
admin            terminals/import_page.py _Import.written write
admin-confirmed  terminals/replace_dialog.py ask_replacement.replace write
viewer           terminals/list_actions.py _command read
operator         terminals/list_actions.py _command.send write
viewer           terminals/list_actions.py _window read
operator         terminals/list_actions.py _window.add write
operator         terminals/list_actions.py _export read
viewer           terminals/list_actions.py add read
admin            terminals/list_actions.py add.add write
viewer           terminals/map_page.py register.tree_map.draw read
viewer           terminals/page.py _Listing._saved read
viewer           terminals/page.py _Listing._read read
viewer           terminals/page.py _Listing._more_filters read
viewer           terminals/saved_dialogs.py act_on read
operator         terminals/saved_dialogs.py _save.save write
viewer           terminals/saved_dialogs.py _keep_own write
viewer           terminals/saved_dialogs.py _edit.save write
viewer           terminals/saved_dialogs.py _delete.delete write
operator         terminals/pin_dialog.py ask_pin.save write
operator         terminals/seen_dialog.py ask_seen.save write
viewer           terminals/terminal_form.py edit read
viewer           terminals/terminal_form.py _faster read
operator         terminals/terminal_form.py edit.save write
viewer           terminals/terminal_page.py _Page._read read
admin-confirmed  terminals/terminal_page.py _Page._new_password write
admin-confirmed  terminals/terminal_page.py _Page._stand write
viewer           timeline/page.py read read
""")
"""Module, function, and what of `View` it calls: each asks anew who is signed in, with this role."""
