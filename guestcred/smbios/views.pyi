# Written by tests/smbios_pages.py from the declarations: what mypy knows of a structure's fields.
from typing import Any, Literal, overload

from guestcred.smbios.library import Fields, Structure
from guestcred.smbios.values import Bits, Flags, Handle, Uuid, Word

class BIOSInformationFields(Fields):
    vendor: str | None
    bios_version: str | None
    bios_starting_address_segment: int | None
    bios_release_date: str | None
    bios_rom_size: int | None
    bios_characteristics: Flags | None
    bios_characteristics_extension_byte_1: Flags | None
    bios_characteristics_extension_byte_2: Flags | None
    system_bios_major_release: int | None
    system_bios_minor_release: int | None
    embedded_controller_firmware_major_release: int | None
    embedded_controller_firmware_minor_release: int | None
    extended_bios_rom_size: int | None

class BIOSInformation(Structure):
    field: BIOSInformationFields

class SystemInformationFields(Fields):
    manufacturer: str | None
    product_name: str | None
    version: str | None
    serial_number: str | None
    uuid: Uuid | None
    wake_up_type: Word | None
    sku_number: str | None
    family: str | None

class SystemInformation(Structure):
    field: SystemInformationFields

class BaseboardInformationFields(Fields):
    manufacturer: str | None
    product: str | None
    version: str | None
    serial_number: str | None
    asset_tag: str | None
    feature_flags: Flags | None
    location_in_chassis: str | None
    chassis_handle: Handle | None
    board_type: Word | None
    number_of_contained_object_handles: int | None
    contained_object_handles: list[Handle] | None

class BaseboardInformation(Structure):
    field: BaseboardInformationFields

class SystemEnclosureOrChassisFields(Fields):
    manufacturer: str | None
    type: Bits | None
    version: str | None
    serial_number: str | None
    asset_tag_number: str | None
    boot_up_state: Word | None
    power_supply_state: Word | None
    thermal_state: Word | None
    security_status: Word | None
    oem_defined: int | None
    height: int | None
    number_of_power_cords: int | None
    contained_element_count: int | None
    contained_element_record_length: int | None
    contained_elements: list[dict[str, Any]] | None
    sku_number: str | None
    rack_type: Word | None
    rack_height: int | None

class SystemEnclosureOrChassis(Structure):
    field: SystemEnclosureOrChassisFields

class ProcessorInformationFields(Fields):
    socket_designation: str | None
    processor_type: Word | None
    processor_family: Word | None
    processor_manufacturer: str | None
    processor_id: bytes | None
    processor_version: str | None
    voltage: int | None
    external_clock: int | None
    max_speed: int | None
    current_speed: int | None
    status: Bits | None
    processor_upgrade: Word | None
    l1_cache_handle: Handle | None
    l2_cache_handle: Handle | None
    l3_cache_handle: Handle | None
    serial_number: str | None
    asset_tag: str | None
    part_number: str | None
    core_count: int | None
    core_enabled: int | None
    thread_count: int | None
    processor_characteristics: Flags | None
    processor_family_2: Word | None
    core_count_2: int | None
    core_enabled_2: int | None
    thread_count_2: int | None
    thread_enabled: int | None
    socket_type: str | None

class ProcessorInformation(Structure):
    field: ProcessorInformationFields

class MemoryControllerInformationFields(Fields):
    error_detecting_method: Word | None
    error_correcting_capability: Flags | None
    supported_interleave: Word | None
    current_interleave: Word | None
    maximum_memory_module_size: int | None
    supported_speeds: Flags | None
    supported_memory_types: Flags | None
    memory_module_voltage: int | None
    number_of_associated_memory_slots: int | None
    memory_module_configuration_handles: list[Handle] | None
    enabled_error_correcting_capabilities: Flags | None

class MemoryControllerInformation(Structure):
    field: MemoryControllerInformationFields

class MemoryModuleInformationFields(Fields):
    socket_designation: str | None
    bank_connections: int | None
    current_speed: int | None
    current_memory_type: Flags | None
    installed_size: Bits | None
    enabled_size: Bits | None
    error_status: int | None

class MemoryModuleInformation(Structure):
    field: MemoryModuleInformationFields

class CacheInformationFields(Fields):
    socket_designation: str | None
    cache_configuration: Bits | None
    maximum_cache_size: int | None
    installed_size: int | None
    supported_sram_type: Flags | None
    current_sram_type: Flags | None
    cache_speed: int | None
    error_correction_type: Word | None
    system_cache_type: Word | None
    associativity: Word | None
    maximum_cache_size_2: int | None
    installed_cache_size_2: int | None

class CacheInformation(Structure):
    field: CacheInformationFields

class PortConnectorInformationFields(Fields):
    internal_reference_designator: str | None
    internal_connector_type: Word | None
    external_reference_designator: str | None
    external_connector_type: Word | None
    port_type: Word | None

class PortConnectorInformation(Structure):
    field: PortConnectorInformationFields

class SystemSlotsFields(Fields):
    slot_designation: str | None
    slot_type: Word | None
    slot_data_bus_width: Word | None
    current_usage: Word | None
    slot_length: Word | None
    slot_id: int | None
    slot_characteristics_1: Flags | None
    slot_characteristics_2: Flags | None
    segment_group_number: int | None
    bus_number: int | None
    device_function_number: int | None
    data_bus_width: int | None
    peer_grouping_count: int | None
    peer_groups: list[dict[str, Any]] | None
    slot_information: int | None
    slot_physical_width: Word | None
    slot_pitch: int | None
    slot_height: Word | None

class SystemSlots(Structure):
    field: SystemSlotsFields

class OnBoardDevicesInformationFields(Fields):
    devices: list[dict[str, Any]] | None

class OnBoardDevicesInformation(Structure):
    field: OnBoardDevicesInformationFields

class OEMStringsFields(Fields):
    count: int | None

class OEMStrings(Structure):
    field: OEMStringsFields

class SystemConfigurationOptionsFields(Fields):
    count: int | None

class SystemConfigurationOptions(Structure):
    field: SystemConfigurationOptionsFields

class BIOSLanguageInformationFields(Fields):
    installable_languages: int | None
    flags: Bits | None
    reserved: bytes | None
    current_language: str | None

class BIOSLanguageInformation(Structure):
    field: BIOSLanguageInformationFields

class GroupAssociationsFields(Fields):
    group_name: str | None
    items: list[dict[str, Any]] | None

class GroupAssociations(Structure):
    field: GroupAssociationsFields

class SystemEventLogFields(Fields):
    log_area_length: int | None
    log_header_start_offset: int | None
    log_data_start_offset: int | None
    access_method: Word | None
    log_status: Bits | None
    log_change_token: int | None
    access_method_address: bytes | None
    log_header_format: Word | None
    number_of_supported_log_type_descriptors: int | None
    length_of_each_log_type_descriptor: int | None
    list_of_supported_event_log_type_descriptors: list[dict[str, Any]] | None

class SystemEventLog(Structure):
    field: SystemEventLogFields

class PhysicalMemoryArrayFields(Fields):
    location: Word | None
    use: Word | None
    memory_error_correction: Word | None
    maximum_capacity: int | None
    memory_error_information_handle: Handle | None
    number_of_memory_devices: int | None
    extended_maximum_capacity: int | None

class PhysicalMemoryArray(Structure):
    field: PhysicalMemoryArrayFields

class MemoryDeviceFields(Fields):
    physical_memory_array_handle: Handle | None
    memory_error_information_handle: Handle | None
    total_width: int | None
    data_width: int | None
    size: int | None
    form_factor: Word | None
    device_set: int | None
    device_locator: str | None
    bank_locator: str | None
    memory_type: Word | None
    type_detail: Flags | None
    speed: int | None
    manufacturer: str | None
    serial_number: str | None
    asset_tag: str | None
    part_number: str | None
    attributes: Bits | None
    extended_size: int | None
    configured_memory_speed: int | None
    minimum_voltage: int | None
    maximum_voltage: int | None
    configured_voltage: int | None
    memory_technology: Word | None
    memory_operating_mode_capability: Flags | None
    firmware_version: str | None
    module_manufacturer_id: int | None
    module_product_id: int | None
    memory_subsystem_controller_manufacturer_id: int | None
    memory_subsystem_controller_product_id: int | None
    non_volatile_size: int | None
    volatile_size: int | None
    cache_size: int | None
    logical_size: int | None
    extended_speed: int | None
    extended_configured_memory_speed: int | None
    pmic0_manufacturer_id: int | None
    pmic0_revision_number: int | None
    rcd_manufacturer_id: int | None
    rcd_revision_number: int | None

class MemoryDevice(Structure):
    field: MemoryDeviceFields

class Type18BitMemoryErrorInformationFields(Fields):
    error_type: Word | None
    error_granularity: Word | None
    error_operation: Word | None
    vendor_syndrome: int | None
    memory_array_error_address: int | None
    device_error_address: int | None
    error_resolution: int | None

class Type18BitMemoryErrorInformation(Structure):
    field: Type18BitMemoryErrorInformationFields

class MemoryArrayMappedAddressFields(Fields):
    starting_address: int | None
    ending_address: int | None
    memory_array_handle: Handle | None
    partition_width: int | None
    extended_starting_address: int | None
    extended_ending_address: int | None

class MemoryArrayMappedAddress(Structure):
    field: MemoryArrayMappedAddressFields

class MemoryDeviceMappedAddressFields(Fields):
    starting_address: int | None
    ending_address: int | None
    memory_device_handle: Handle | None
    memory_array_mapped_address_handle: Handle | None
    partition_row_position: int | None
    interleave_position: int | None
    interleaved_data_depth: int | None
    extended_starting_address: int | None
    extended_ending_address: int | None

class MemoryDeviceMappedAddress(Structure):
    field: MemoryDeviceMappedAddressFields

class BuiltInPointingDeviceFields(Fields):
    type: Word | None
    interface: Word | None
    number_of_buttons: int | None

class BuiltInPointingDevice(Structure):
    field: BuiltInPointingDeviceFields

class PortableBatteryFields(Fields):
    location: str | None
    manufacturer: str | None
    manufacture_date: str | None
    serial_number: str | None
    device_name: str | None
    device_chemistry: Word | None
    design_capacity: int | None
    design_voltage: int | None
    sbds_version_number: str | None
    maximum_error_in_battery_data: int | None
    sbds_serial_number: int | None
    sbds_manufacture_date: int | None
    sbds_device_chemistry: str | None
    design_capacity_multiplier: int | None
    oem_specific: int | None

class PortableBattery(Structure):
    field: PortableBatteryFields

class SystemResetFields(Fields):
    capabilities: Bits | None
    reset_count: int | None
    reset_limit: int | None
    timer_interval: int | None
    timeout: int | None

class SystemReset(Structure):
    field: SystemResetFields

class HardwareSecurityFields(Fields):
    hardware_security_settings: Bits | None

class HardwareSecurity(Structure):
    field: HardwareSecurityFields

class SystemPowerControlsFields(Fields):
    next_scheduled_power_on_month: int | None
    next_scheduled_power_on_day_of_month: int | None
    next_scheduled_power_on_hour: int | None
    next_scheduled_power_on_minute: int | None
    next_scheduled_power_on_second: int | None

class SystemPowerControls(Structure):
    field: SystemPowerControlsFields

class VoltageProbeFields(Fields):
    description: str | None
    location_and_status: Bits | None
    maximum_value: int | None
    minimum_value: int | None
    resolution: int | None
    tolerance: int | None
    accuracy: int | None
    oem_defined: int | None
    nominal_value: int | None

class VoltageProbe(Structure):
    field: VoltageProbeFields

class CoolingDeviceFields(Fields):
    temperature_probe_handle: Handle | None
    device_type_and_status: Bits | None
    cooling_unit_group: int | None
    oem_defined: int | None
    nominal_speed: int | None
    description: str | None

class CoolingDevice(Structure):
    field: CoolingDeviceFields

class TemperatureProbeFields(Fields):
    description: str | None
    location_and_status: Bits | None
    maximum_value: int | None
    minimum_value: int | None
    resolution: int | None
    tolerance: int | None
    accuracy: int | None
    oem_defined: int | None
    nominal_value: int | None

class TemperatureProbe(Structure):
    field: TemperatureProbeFields

class ElectricalCurrentProbeFields(Fields):
    description: str | None
    location_and_status: Bits | None
    maximum_value: int | None
    minimum_value: int | None
    resolution: int | None
    tolerance: int | None
    accuracy: int | None
    oem_defined: int | None
    nominal_value: int | None

class ElectricalCurrentProbe(Structure):
    field: ElectricalCurrentProbeFields

class OutOfBandRemoteAccessFields(Fields):
    manufacturer_name: str | None
    connections: Bits | None

class OutOfBandRemoteAccess(Structure):
    field: OutOfBandRemoteAccessFields

class BootIntegrityServicesBISEntryPointFields(Fields):
    checksum: int | None
    reserved_1: int | None
    reserved_2: int | None
    bis_entry_16: int | None
    bis_entry_32: int | None
    reserved_3: int | None
    reserved_4: int | None

class BootIntegrityServicesBISEntryPoint(Structure):
    field: BootIntegrityServicesBISEntryPointFields

class SystemBootInformationFields(Fields):
    reserved: bytes | None
    boot_status: Word | None

class SystemBootInformation(Structure):
    field: SystemBootInformationFields

class Type33BitMemoryErrorInformationFields(Fields):
    error_type: Word | None
    error_granularity: Word | None
    error_operation: Word | None
    vendor_syndrome: int | None
    memory_array_error_address: int | None
    device_error_address: int | None
    error_resolution: int | None

class Type33BitMemoryErrorInformation(Structure):
    field: Type33BitMemoryErrorInformationFields

class ManagementDeviceFields(Fields):
    description: str | None
    type: Word | None
    address: int | None
    address_type: Word | None

class ManagementDevice(Structure):
    field: ManagementDeviceFields

class ManagementDeviceComponentFields(Fields):
    description: str | None
    management_device_handle: Handle | None
    component_handle: Handle | None
    threshold_handle: Handle | None

class ManagementDeviceComponent(Structure):
    field: ManagementDeviceComponentFields

class ManagementDeviceThresholdDataFields(Fields):
    lower_threshold_non_critical: int | None
    upper_threshold_non_critical: int | None
    lower_threshold_critical: int | None
    upper_threshold_critical: int | None
    lower_threshold_non_recoverable: int | None
    upper_threshold_non_recoverable: int | None

class ManagementDeviceThresholdData(Structure):
    field: ManagementDeviceThresholdDataFields

class MemoryChannelFields(Fields):
    channel_type: Word | None
    maximum_channel_load: int | None
    memory_device_count: int | None
    memory_devices: list[dict[str, Any]] | None

class MemoryChannel(Structure):
    field: MemoryChannelFields

class IPMIDeviceInformationFields(Fields):
    interface_type: Word | None
    ipmi_specification_revision: Bits | None
    i2c_target_address: int | None
    nv_storage_device_address: int | None
    base_address: int | None
    base_address_modifier: Bits | None
    interrupt_number: int | None

class IPMIDeviceInformation(Structure):
    field: IPMIDeviceInformationFields

class SystemPowerSupplyFields(Fields):
    power_unit_group: int | None
    location: str | None
    device_name: str | None
    manufacturer: str | None
    serial_number: str | None
    asset_tag_number: str | None
    model_part_number: str | None
    revision_level: str | None
    max_power_capacity: int | None
    power_supply_characteristics: Bits | None
    input_voltage_probe_handle: Handle | None
    cooling_device_handle: Handle | None
    input_current_probe_handle: Handle | None

class SystemPowerSupply(Structure):
    field: SystemPowerSupplyFields

class AdditionalInformationFields(Fields):
    number_of_additional_information_entries: int | None
    entries: list[dict[str, Any]] | None

class AdditionalInformation(Structure):
    field: AdditionalInformationFields

class OnboardDevicesExtendedInformationFields(Fields):
    reference_designation: str | None
    device_type: Bits | None
    device_type_instance: int | None
    segment_group_number: int | None
    bus_number: int | None
    device_function_number: int | None

class OnboardDevicesExtendedInformation(Structure):
    field: OnboardDevicesExtendedInformationFields

class ManagementControllerHostInterfaceFields(Fields):
    interface_type: Word | None
    interface_type_specific_data_length: int | None
    interface_type_specific_data: bytes | None
    number_of_protocol_records: int | None
    protocol_records: list[dict[str, Any]] | None

class ManagementControllerHostInterface(Structure):
    field: ManagementControllerHostInterfaceFields

class TPMDeviceFields(Fields):
    vendor_id: bytes | None
    major_spec_version: int | None
    minor_spec_version: int | None
    firmware_version_1: int | None
    firmware_version_2: int | None
    description: str | None
    characteristics: Flags | None
    oem_defined: int | None

class TPMDevice(Structure):
    field: TPMDeviceFields

class ProcessorAdditionalInformationFields(Fields):
    referenced_handle: Handle | None
    processor_specific_block: list[dict[str, Any]] | None

class ProcessorAdditionalInformation(Structure):
    field: ProcessorAdditionalInformationFields

class FirmwareInventoryInformationFields(Fields):
    firmware_component_name: str | None
    firmware_version: str | None
    version_format: Word | None
    firmware_id: str | None
    firmware_id_format: Word | None
    release_date: str | None
    manufacturer: str | None
    lowest_supported_firmware_version: str | None
    image_size: int | None
    characteristics: Flags | None
    state: Word | None
    number_of_associated_components: int | None
    associated_component_handles: list[Handle] | None

class FirmwareInventoryInformation(Structure):
    field: FirmwareInventoryInformationFields

class StringPropertyFields(Fields):
    string_property_id: Word | None
    string_property_value: str | None
    parent_handle: Handle | None

class StringProperty(Structure):
    field: StringPropertyFields

class OfType:
    @overload
    def __call__(self, number: Literal[0]) -> tuple[BIOSInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[1]) -> tuple[SystemInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[2]) -> tuple[BaseboardInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[3]) -> tuple[SystemEnclosureOrChassis, ...]: ...
    @overload
    def __call__(self, number: Literal[4]) -> tuple[ProcessorInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[5]) -> tuple[MemoryControllerInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[6]) -> tuple[MemoryModuleInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[7]) -> tuple[CacheInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[8]) -> tuple[PortConnectorInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[9]) -> tuple[SystemSlots, ...]: ...
    @overload
    def __call__(self, number: Literal[10]) -> tuple[OnBoardDevicesInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[11]) -> tuple[OEMStrings, ...]: ...
    @overload
    def __call__(self, number: Literal[12]) -> tuple[SystemConfigurationOptions, ...]: ...
    @overload
    def __call__(self, number: Literal[13]) -> tuple[BIOSLanguageInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[14]) -> tuple[GroupAssociations, ...]: ...
    @overload
    def __call__(self, number: Literal[15]) -> tuple[SystemEventLog, ...]: ...
    @overload
    def __call__(self, number: Literal[16]) -> tuple[PhysicalMemoryArray, ...]: ...
    @overload
    def __call__(self, number: Literal[17]) -> tuple[MemoryDevice, ...]: ...
    @overload
    def __call__(self, number: Literal[18]) -> tuple[Type18BitMemoryErrorInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[19]) -> tuple[MemoryArrayMappedAddress, ...]: ...
    @overload
    def __call__(self, number: Literal[20]) -> tuple[MemoryDeviceMappedAddress, ...]: ...
    @overload
    def __call__(self, number: Literal[21]) -> tuple[BuiltInPointingDevice, ...]: ...
    @overload
    def __call__(self, number: Literal[22]) -> tuple[PortableBattery, ...]: ...
    @overload
    def __call__(self, number: Literal[23]) -> tuple[SystemReset, ...]: ...
    @overload
    def __call__(self, number: Literal[24]) -> tuple[HardwareSecurity, ...]: ...
    @overload
    def __call__(self, number: Literal[25]) -> tuple[SystemPowerControls, ...]: ...
    @overload
    def __call__(self, number: Literal[26]) -> tuple[VoltageProbe, ...]: ...
    @overload
    def __call__(self, number: Literal[27]) -> tuple[CoolingDevice, ...]: ...
    @overload
    def __call__(self, number: Literal[28]) -> tuple[TemperatureProbe, ...]: ...
    @overload
    def __call__(self, number: Literal[29]) -> tuple[ElectricalCurrentProbe, ...]: ...
    @overload
    def __call__(self, number: Literal[30]) -> tuple[OutOfBandRemoteAccess, ...]: ...
    @overload
    def __call__(self, number: Literal[31]) -> tuple[BootIntegrityServicesBISEntryPoint, ...]: ...
    @overload
    def __call__(self, number: Literal[32]) -> tuple[SystemBootInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[33]) -> tuple[Type33BitMemoryErrorInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[34]) -> tuple[ManagementDevice, ...]: ...
    @overload
    def __call__(self, number: Literal[35]) -> tuple[ManagementDeviceComponent, ...]: ...
    @overload
    def __call__(self, number: Literal[36]) -> tuple[ManagementDeviceThresholdData, ...]: ...
    @overload
    def __call__(self, number: Literal[37]) -> tuple[MemoryChannel, ...]: ...
    @overload
    def __call__(self, number: Literal[38]) -> tuple[IPMIDeviceInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[39]) -> tuple[SystemPowerSupply, ...]: ...
    @overload
    def __call__(self, number: Literal[40]) -> tuple[AdditionalInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[41]) -> tuple[OnboardDevicesExtendedInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[42]) -> tuple[ManagementControllerHostInterface, ...]: ...
    @overload
    def __call__(self, number: Literal[43]) -> tuple[TPMDevice, ...]: ...
    @overload
    def __call__(self, number: Literal[44]) -> tuple[ProcessorAdditionalInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[45]) -> tuple[FirmwareInventoryInformation, ...]: ...
    @overload
    def __call__(self, number: Literal[46]) -> tuple[StringProperty, ...]: ...
    @overload
    def __call__(self, number: int) -> tuple[Structure, ...]: ...
