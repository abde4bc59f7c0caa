"""The products: a file each, and a row each in this table."""

from __future__ import annotations

from airflow_provider_avepoint.core.product import register
from airflow_provider_avepoint.products.aos_scan import AOS_SCAN
from airflow_provider_avepoint.products.dynamics365 import DYNAMICS365
from airflow_provider_avepoint.products.elements import ELEMENTS
from airflow_provider_avepoint.products.google_workspace import GOOGLE_WORKSPACE
from airflow_provider_avepoint.products.iaas_paas import IAAS_PAAS
from airflow_provider_avepoint.products.m365 import M365
from airflow_provider_avepoint.products.m365_legacy import M365_LEGACY
from airflow_provider_avepoint.products.salesforce import SALESFORCE

#: Every product by name.
PRODUCTS = {
    product.name: register(product)
    for product in (
        M365,
        M365_LEGACY,
        DYNAMICS365,
        GOOGLE_WORKSPACE,
        SALESFORCE,
        IAAS_PAAS,
        AOS_SCAN,
        ELEMENTS,
    )
}
