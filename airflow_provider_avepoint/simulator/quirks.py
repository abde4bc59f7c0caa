"""What the vendor's documents leave open or contradict, as switches; a product's row sets the defaults."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FOREIGN_HOST = "https://graph.elsewhere.example:8443"
_FORMS_WITHOUT_LINK = ("none", "empty", "null")


class Quirks(BaseModel):
    """How one product's server behaves; some quirks exist for the products only that list them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_index: Literal[0, 1] = Field(default=0, description="The index of the first page.")
    link: Literal[
        "none", "empty", "null", "absolute", "relative", "relative_without_prefix", "query", "token"
    ] = Field(
        default="absolute",
        description="What the link field holds while pages follow; none leaves the field out.",
    )
    last_link: Literal["none", "empty", "null"] = Field(
        default="empty", description="What it holds on the last page."
    )
    token_parameter: str = Field(
        default="skiptoken", description="The parameter that takes a token link back."
    )
    foreign_link: bool | str = Field(
        default=False, description=f"Links name another host: a base URL, or true for {FOREIGN_HOST}."
    )
    repeat_link: bool = Field(default=False, description="Every page links to itself, for ever.")
    link_overlap: int = Field(
        default=0, ge=0, description="aos_scan: rows that a link asks for again; the page's sample has 1."
    )
    link_key: Literal["nextLink", "nextlink"] = Field(
        default="nextLink", description="iaas_paas: the link's name, in the sample and in the table."
    )
    max_page_size: int | None = Field(default=None, ge=1, description="The largest page; null is no limit.")
    oversize: Literal["clamp", "refuse"] = Field(
        default="clamp", description="What becomes of a larger pageSize."
    )
    total: Literal["match", "page", "absent"] = Field(
        default="match", description="The total counts all matching rows, this page's rows, or is left out."
    )
    repeat_rows: int = Field(default=1, ge=1, description="How often each row is listed.")
    arrivals_per_page: int = Field(
        default=0, ge=0, description="Jobs that start just before each page is read."
    )
    latency_ms: float = Field(default=0, ge=0, description="Milliseconds that every answer takes longer.")
    window_filters_by: Literal["start", "finish", "overlap"] = Field(
        default="start", description="What must lie in the time window, both of its ends included."
    )
    no_finish: Literal["null", "empty", "n/a", "absent", "year_1"] = Field(
        default="null", description="How a row says that its job has not finished."
    )
    state_spelling: Literal["labels", "names"] = Field(
        default="labels", description="m365, m365_legacy: 'Finished with Exception' or 'FinishedException'."
    )
    count_names: Literal["sample", "count", "number"] = Field(
        default="sample",
        description="m365: totalCount or totalNumber; sample is the first in lists, the second in details.",
    )
    no_start: Literal["null", "empty", "n/a", "absent", "year_1", "planned"] = Field(
        default="null", description="iaas_paas, elements: the start of a job that waits for it."
    )
    state_key: Literal["status", "state"] = Field(
        default="status",
        description="iaas_paas, salesforce: the state's name; state in an older page, and in a sample.",
    )
    shows_organization: bool = Field(
        default=True,
        description="salesforce: rows have organizationId, as in the table; the sample's do not.",
    )
    casing: Literal["pascal", "camel"] = Field(
        default="pascal", description="m365_legacy: TotalCount or totalCount."
    )

    @model_validator(mode="after")
    def _links_need_a_form(self) -> Self:
        if self.link in _FORMS_WITHOUT_LINK and (self.foreign_link or self.repeat_link):
            raise ValueError(f"foreign_link and repeat_link need a link form that links, not {self.link!r}")
        return self


PRODUCT_QUIRKS = frozenset(
    {
        "casing",
        "count_names",
        "link_key",
        "link_overlap",
        "no_start",
        "shows_organization",
        "state_key",
        "state_spelling",
    }
)
"""Quirks that only the products which list them in ``own_quirks`` have."""
